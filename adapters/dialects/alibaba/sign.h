/* SPDX-License-Identifier: Apache-2.0 */
/* Signatures as Alibaba's platform checks them. Pure but for the HMAC. */
#pragma once

#include "adapters/dialects/alibaba/alibaba.h"

/*
 * Hex of the HMAC, by the secret, of "clientId{}deviceName{}productKey{}timestamp{}": the login of
 * a connection, and of a sub-device; also its entry in the topology. Caller frees; NULL: no memory.
 */
char *sb_alibaba_sign_login(enum sb_alibaba_sign how, const char *secret, const char *client,
                            const char *name, const char *product, const char *timestamp);
/* "hmacsha256" */
const char *sb_alibaba_sign_word(enum sb_alibaba_sign how);
/* Milliseconds as text, or the far future that devices without a clock send. Caller frees. */
char *sb_alibaba_timestamp(int64_t wall);
