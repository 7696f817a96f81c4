/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared access signatures, as a device logs in with them. Pure but for the HMAC. The result is a
 * secret: who asks for it registers and wipes it.
 */
#pragma once

#include <stdint.h>

#include "bridge/base/util.h"

/*
 * "SharedAccessSignature sr=...&sig=...&se=..." for a resource "hub/devices/id" (percent-encoded
 * here; the signature covers it as it stands there), until `expiry`, s since 1970. key: base64, as
 * the hub shows it. -EINVAL with a text: the key is no base64; -ENOMEM, -EIO.
 */
int sb_azure_token(const char *resource, const char *key, int64_t expiry, char **ret,
                   char **ret_error) SB_MUST_CHECK;
