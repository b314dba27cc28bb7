# ridge_library(NAME [DEPS lib...] [TEST_DEPS lib...] [PKGS pkg-config-module...] [LIBS linker-name...]
#               [PLUGIN output-name PLUGIN_SOURCES source... PLUGIN_PKGS module... PLUGIN_HEADERS folder])
#
# Declares libs/NAME: every src/*.c becomes the static library ridge_NAME, every test/*.c one test
# program test_NAME, every fuzz/*.c a libFuzzer target fuzz_NAME_FILE (preset "fuzz" only).
# DEPS are Ridge libraries; each must stand in a strictly lower layer of cmake/layers.txt, or the
# configuration stops. TEST_DEPS are more of them, for the test program alone. PKGS are pkg-config
# modules of Debian packages, found once and kept private to the library's own sources unless they appear after PUBLIC_PKGS.
# PLUGIN: plugin/*.c and PLUGIN_SOURCES become output-name.so in the build folder, which another program loads; none of our
# libraries is linked into it.

file(STRINGS ${CMAKE_SOURCE_DIR}/cmake/layers.txt RIDGE_LAYER_LINES REGEX "^[0-9]")
foreach(line IN LISTS RIDGE_LAYER_LINES)
  string(REGEX MATCH "^([0-9]+) ([a-z0-9_]+)$" _ "${line}")
  if(NOT CMAKE_MATCH_2)
    message(FATAL_ERROR "cmake/layers.txt: cannot read line '${line}': want 'LAYER NAME'")
  endif()
  set(RIDGE_LAYER_${CMAKE_MATCH_2} ${CMAKE_MATCH_1})
  list(APPEND RIDGE_LIBRARIES ${CMAKE_MATCH_2})
endforeach()

function(ridge_require_lower name dep)
  if(NOT DEFINED RIDGE_LAYER_${name})
    message(FATAL_ERROR "library '${name}' is not in cmake/layers.txt: add it with its layer")
  endif()
  if(NOT DEFINED RIDGE_LAYER_${dep})
    message(FATAL_ERROR "library '${name}' depends on '${dep}', which is not in cmake/layers.txt")
  endif()
  if(NOT RIDGE_LAYER_${dep} LESS RIDGE_LAYER_${name})
    message(FATAL_ERROR "layer violation: ${name} (layer ${RIDGE_LAYER_${name}}) may not depend on "
                        "${dep} (layer ${RIDGE_LAYER_${dep}}): dependencies point strictly downward")
  endif()
endfunction()

function(ridge_packages out)
  set(targets "")
  foreach(pkg IN LISTS ARGN)
    string(MAKE_C_IDENTIFIER ${pkg} id)
    if(NOT TARGET PkgConfig::RIDGE_${id})
      pkg_check_modules(RIDGE_${id} REQUIRED IMPORTED_TARGET GLOBAL ${pkg})
    endif()
    list(APPEND targets PkgConfig::RIDGE_${id})
  endforeach()
  set(${out} "${targets}" PARENT_SCOPE)
endfunction()

# It lives in another program's process, where no sanitizer's run-time library is.
function(ridge_plugin name output sources pkgs headers)
  file(GLOB own CONFIGURE_DEPENDS plugin/*.c)
  add_library(ridge_${name}_plugin MODULE ${own} ${sources})
  set_target_properties(ridge_${name}_plugin PROPERTIES PREFIX "" OUTPUT_NAME ${output}
                        LIBRARY_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR})
  target_include_directories(ridge_${name}_plugin PRIVATE src)
  target_include_directories(ridge_${name}_plugin SYSTEM PRIVATE ${headers})
  ridge_packages(plugin_pkgs ${pkgs})
  target_link_libraries(ridge_${name}_plugin PRIVATE ridge_flags ${plugin_pkgs})
  target_link_options(ridge_${name}_plugin PRIVATE -s)
  if(RIDGE_SANITIZE OR RIDGE_FUZZ)
    target_compile_options(ridge_${name}_plugin PRIVATE -fno-sanitize=all)
    target_link_options(ridge_${name}_plugin PRIVATE -fno-sanitize=all)
  endif()
  add_dependencies(ridge_${name} ridge_${name}_plugin)
endfunction()

function(ridge_library name)
  cmake_parse_arguments(arg "FAULTS" "PLUGIN;PLUGIN_HEADERS"
                        "DEPS;TEST_DEPS;PKGS;PUBLIC_PKGS;LIBS;PLUGIN_SOURCES;PLUGIN_PKGS" ${ARGN})
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "ridge_library(${name}): unknown arguments: ${arg_UNPARSED_ARGUMENTS}")
  endif()
  foreach(dep IN LISTS arg_DEPS arg_TEST_DEPS)
    ridge_require_lower(${name} ${dep})
  endforeach()
  file(GLOB sources CONFIGURE_DEPENDS src/*.c)
  if(NOT sources)
    message(FATAL_ERROR "ridge_library(${name}): no source in ${CMAKE_CURRENT_SOURCE_DIR}/src")
  endif()
  add_library(ridge_${name} STATIC ${sources})
  target_include_directories(ridge_${name} PUBLIC include PRIVATE src)
  list(TRANSFORM arg_DEPS PREPEND ridge_ OUTPUT_VARIABLE dep_targets)
  list(TRANSFORM arg_TEST_DEPS PREPEND ridge_ OUTPUT_VARIABLE test_dep_targets)
  ridge_packages(private_pkgs ${arg_PKGS})
  ridge_packages(public_pkgs ${arg_PUBLIC_PKGS})
  target_link_libraries(ridge_${name} PUBLIC ${dep_targets} ${public_pkgs}
                        PRIVATE ridge_flags ${private_pkgs} ${arg_LIBS})

  if(arg_PLUGIN)
    ridge_plugin(${name} ${arg_PLUGIN} "${arg_PLUGIN_SOURCES}" "${arg_PLUGIN_PKGS}" "${arg_PLUGIN_HEADERS}")
  endif()

  file(GLOB tests CONFIGURE_DEPENDS test/*.c)
  if(tests AND RIDGE_TESTS)
    add_executable(test_${name} ${tests})
    target_include_directories(test_${name} PRIVATE src test)
    target_link_libraries(test_${name} PRIVATE ridge_${name} ${test_dep_targets} ridge_testkit ridge_flags
                          ${private_pkgs} ${arg_LIBS})
    if(arg_FAULTS)
      target_link_libraries(test_${name} PRIVATE ridge_testfaults ${CMAKE_DL_LIBS})
    endif()
    set_property(GLOBAL APPEND PROPERTY RIDGE_TEST_PROGRAMS test_${name})
  endif()

  file(GLOB fuzzers CONFIGURE_DEPENDS fuzz/*.c)
  if(RIDGE_FUZZ)
    foreach(source IN LISTS fuzzers)
      get_filename_component(stem ${source} NAME_WE)
      add_executable(fuzz_${name}_${stem} ${source})
      target_include_directories(fuzz_${name}_${stem} PRIVATE src)
      target_link_libraries(fuzz_${name}_${stem} PRIVATE ridge_${name} ridge_flags ${private_pkgs})
      target_link_options(fuzz_${name}_${stem} PRIVATE -fsanitize=fuzzer)
    endforeach()
  endif()
endfunction()

# ridge_program(TARGET OUTPUT-NAME LIB...): an executable from src/*.c of the current folder.
function(ridge_program target output)
  file(GLOB sources CONFIGURE_DEPENDS *.c)
  add_executable(${target} ${sources})
  set_target_properties(${target} PROPERTIES OUTPUT_NAME ${output}
                        RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
  list(TRANSFORM ARGN PREPEND ridge_ OUTPUT_VARIABLE libs)
  target_link_libraries(${target} PRIVATE ${libs} ridge_flags)
  install(TARGETS ${target} RUNTIME DESTINATION bin)
endfunction()
