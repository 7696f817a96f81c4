/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a file of devices.d: refused with a finding, or specs of which each has an id, and
 * which a registry takes or refuses with a finding.
 */
#include <errno.h>

#include "bridge/config/config.h"
#include "bridge/device/device.h"
#include "tests/fuzz/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sb_cleanup(json_decrefp) json_t *specs = NULL;
    struct sb_diags diags = { 0 };
    size_t i;
    json_t *spec;
    (void)fuzz_file(data, size);
    int r = sb_devices_load(fuzz_folder, &specs, &diags);
    check((r == 0) == (specs != NULL) && (r == 0) == (diags.total == 0));
    json_array_foreach (specs, i, spec)
        check(sb_json_str(spec, "id") && sb_json_str(spec, "_file"));
    if (specs) {
        r = sb_devices_check(specs, SB_DEVICES_MAX, &diags);
        check((r == -EINVAL) == (diags.total > 0) && (r == 0 || r == -EINVAL));
    }
    sb_diags_done(&diags);
    return 0;
}
