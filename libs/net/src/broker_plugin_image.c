/* The plugin that mosquitto loads (../plugin), as it is on disk: it is written beside the broker's configuration at each
 * start, so that the program and its plugin are always of one build, and a program that was copied alone has it. */
#include "broker_internal.h"

#ifdef RIDGE_BROKER_PLUGIN
/* A label of the assembler's own: nothing else can define these. */
__asm__(".pushsection .rodata\n"
        ".balign 16\n"
        "ridge_broker_plugin_begin:\n"
        ".incbin \"" RIDGE_BROKER_PLUGIN "\"\n"
        "ridge_broker_plugin_end:\n"
        ".popsection\n");
extern const uint8_t image_begin[] __asm__("ridge_broker_plugin_begin");
extern const uint8_t image_end[] __asm__("ridge_broker_plugin_end");

rdg_bytes_t broker_plugin_image(void) {
    return rdg_bytes(image_begin, (size_t)(image_end - image_begin));
}
#else
rdg_bytes_t broker_plugin_image(void) {
    return rdg_bytes(NULL, 0);
}
#endif
