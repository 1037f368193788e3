/*
 * An application outside of the source tree: built against the installed library with nothing but
 * what `pkg-config clgrad` says (tests/install/check.sh). Lists the devices.
 */
#include <clgrad/clgrad.h>

#include <stdio.h>

int main(void)
{
    clg_device_info *devices = NULL;
    size_t count = 0;
    printf("clgrad %s\n", clg_version());
    if (clg_device_list(&devices, &count) != CLG_OK) {
        fprintf(stderr, "%s\n", clg_last_error());
        return 1;
    }
    for (size_t i = 0; i < count; i++) printf("%s: %s\n", devices[i].platform, devices[i].name);
    clg_device_list_free(devices);
    return 0;
}
