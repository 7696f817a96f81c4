/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a device type of any driver: refused with a finding, or a type.
 */
#include "bridge/mapping/type.h"
#include "adapters/adapters.h"
#include "tests/fuzz/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sb_type *type = NULL;
    struct sb_diags diags = { 0 };
    int r = sb_type_load_file(fuzz_file(data, size), sb_adapters.drivers, &type, &diags);
    if ((r == 0) != (type != NULL) || (r == 0) != (diags.total == 0))
        abort();
    if (type)
        (void)sb_type_unref(type);
    sb_diags_done(&diags);
    return 0;
}
