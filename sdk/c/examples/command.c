/* Lists the devices of a group, and has the first of them told to do something that changes nothing.
 *
 *   RIDGE_TOKEN=… ./command http://127.0.0.1:7780 feeders */
#include <ridge/platform.h>
#include <string.h>
#include "example.h"

int main(int argc, char **argv) {
    ridge_platform_t *platform = NULL;
    char *devices = NULL, *command = NULL, device[65] = "";
    const char *token = getenv("RIDGE_TOKEN");
    usage(argc == 3 && token, "RIDGE_TOKEN=… ./command URL GROUP");

    must(ridge_platform_open(argv[1], token, &platform), argv[1]);
    must(ridge_platform_devices(platform, argv[2], NULL, &devices), "devices");
    printf("%s\n", devices);
    const char *name = strstr(devices, "\"name\":\""); /* a program with a JSON library would use that */
    if (!name || sscanf(name, "\"name\":\"%64[a-z0-9._-]", device) != 1) {
        fprintf(stderr, "group %s has no device\n", argv[2]);
        return 1;
    }
    /* With an id it is one command, however often an answer gets lost on the way and it is given again. */
    must(ridge_platform_command(platform, device,
                                "{\"id\":\"example-1\",\"type\":\"chain.remove\","
                                "\"params\":{\"chain\":\"no-such-chain\",\"discard\":true}}",
                                &command),
         device);
    ridge_free(command);
    must(ridge_platform_command_wait(platform, "example-1", 25000, &command), "example-1");
    printf("%s\n", command);
    ridge_free(command);
    ridge_free(devices);
    ridge_platform_close(platform);
    return 0;
}
