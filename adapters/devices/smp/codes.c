/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/devices/smp/codes.h"

#include "bridge/base/str.h"

struct meaning {
    enum sb_cause cause;
    const char *text;
};

static const struct meaning rcs[] = {
    [0] = { SB_CAUSE_NONE, "no error" },
    [1] = { SB_CAUSE_INSTALL_FAILED, "unknown error" },
    [2] = { SB_CAUSE_NO_SPACE, "not enough memory" },
    [3] = { SB_CAUSE_INVALID_REQUEST, "invalid value" },
    [4] = { SB_CAUSE_TIMEOUT, "timeout on the device" },
    [5] = { SB_CAUSE_NOT_READY, "no such entry" },
    [6] = { SB_CAUSE_BUSY, "not in this state" },
    [7] = { SB_CAUSE_INTERNAL, "answer too long for the device" },
    [8] = { SB_CAUSE_UNSUPPORTED, "not supported" },
    [9] = { SB_CAUSE_VERIFY_FAILED, "corrupt" },
    [10] = { SB_CAUSE_BUSY, "busy" },
    [11] = { SB_CAUSE_REFUSED, "access denied" },
    [12] = { SB_CAUSE_UNSUPPORTED, "protocol version too old" },
    [13] = { SB_CAUSE_UNSUPPORTED, "protocol version too new" },
};

static const struct meaning image_errs[] = {
    [0] = { SB_CAUSE_NONE, "no error" },
    [1] = { SB_CAUSE_INSTALL_FAILED, "unknown error" },
    [2] = { SB_CAUSE_WRITE_FAILED, "flash configuration cannot be read" },
    [3] = { SB_CAUSE_NOT_READY, "no image in the slot" },
    [4] = { SB_CAUSE_UNSUPPORTED_IMAGE, "image has no TLVs" },
    [5] = { SB_CAUSE_UNSUPPORTED_IMAGE, "image has an invalid TLV" },
    [6] = { SB_CAUSE_UNSUPPORTED_IMAGE, "image has several hashes" },
    [7] = { SB_CAUSE_UNSUPPORTED_IMAGE, "image has a TLV of invalid size" },
    [8] = { SB_CAUSE_UNSUPPORTED_IMAGE, "image has no hash" },
    [9] = { SB_CAUSE_NO_SPACE, "no free slot" },
    [10] = { SB_CAUSE_WRITE_FAILED, "flash cannot be opened" },
    [11] = { SB_CAUSE_WRITE_FAILED, "flash cannot be read" },
    [12] = { SB_CAUSE_WRITE_FAILED, "flash cannot be written" },
    [13] = { SB_CAUSE_WRITE_FAILED, "flash cannot be erased" },
    [14] = { SB_CAUSE_INVALID_REQUEST, "no such slot" },
    [15] = { SB_CAUSE_NO_SPACE, "not enough memory" },
    [16] = { SB_CAUSE_WRITE_FAILED, "flash context is taken" },
    [17] = { SB_CAUSE_WRITE_FAILED, "flash context is not set" },
    [18] = { SB_CAUSE_WRITE_FAILED, "no flash device" },
    [19] = { SB_CAUSE_WRITE_FAILED, "wrong flash page offset" },
    [20] = { SB_CAUSE_INTERNAL, "offset missing" },
    [21] = { SB_CAUSE_INTERNAL, "length missing" },
    [22] = { SB_CAUSE_UNSUPPORTED_IMAGE, "image header too short" },
    [23] = { SB_CAUSE_UNSUPPORTED_IMAGE, "image magic is wrong" },
    [24] = { SB_CAUSE_VERIFY_FAILED, "image hash is wrong" },
    [25] = { SB_CAUSE_UNSUPPORTED_IMAGE, "image is for another flash address" },
    [26] = { SB_CAUSE_INSTALL_FAILED, "version of the running image cannot be read" },
    [27] = { SB_CAUSE_DOWNGRADE_REFUSED, "the running image is newer" },
    [28] = { SB_CAUSE_BUSY, "an image is pending already" },
    [29] = { SB_CAUSE_UNSUPPORTED_IMAGE, "vector table of the image is wrong" },
};

static const struct meaning settings_errs[] = {
    [0] = { SB_CAUSE_NONE, "no error" },
    [1] = { SB_CAUSE_WRITE_FAILED, "unknown error" },
    [2] = { SB_CAUSE_INVALID_REQUEST, "name too long" },
    [3] = { SB_CAUSE_INVALID_REQUEST, "no such setting" },
    [4] = { SB_CAUSE_UNSUPPORTED, "cannot be read" },
    [5] = { SB_CAUSE_INVALID_REQUEST, "no such group of settings" },
    [6] = { SB_CAUSE_UNSUPPORTED, "cannot be written" },
    [7] = { SB_CAUSE_UNSUPPORTED, "cannot be deleted" },
};

struct sb_smp_code sb_smp_code_of(const json_t *body)
{
    const json_t *err = sb_json_object(body, "err");
    if (err)
        return (struct sb_smp_code){ .err = true,
                                     .group = sb_json_int(err, "group", 0),
                                     .code = sb_json_int(err, "rc", 1) };
    return (struct sb_smp_code){ .code = sb_json_int(body, "rc", 0) };
}

static const struct meaning *find(const struct sb_smp_code *code)
{
    static const struct meaning other = { SB_CAUSE_REFUSED, "error of the device's own" };
    const struct meaning *table = rcs;
    size_t count = SB_COUNT(rcs);
    if (code->err && code->group == SB_SMP_IMAGE) {
        table = image_errs;
        count = SB_COUNT(image_errs);
    } else if (code->err && code->group == SB_SMP_SETTINGS) {
        table = settings_errs;
        count = SB_COUNT(settings_errs);
    } else if (code->err && code->code != 0) {
        return &other;
    }
    return code->code >= 0 && (uint64_t)code->code < count ? &table[code->code] : &other;
}

enum sb_cause sb_smp_cause(const struct sb_smp_code *code)
{
    return find(code)->cause;
}

const char *sb_smp_code_text(const struct sb_smp_code *code)
{
    return find(code)->text;
}

int sb_smp_native(const struct sb_smp_code *code, struct sb_native *ret)
{
    sb_cleanup(sb_freep) char *vocabulary =
        code->err ? sb_format("err:%lld", (long long)code->group) : strdup("rc");
    sb_cleanup(sb_freep) char *number = sb_format("%lld", (long long)code->code);
    if (!vocabulary || !number)
        return -ENOMEM;
    return sb_native_set(ret, "smp", vocabulary, number, sb_smp_code_text(code));
}
