/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One parcel as a copy in memory and as a row of the store. For the outbox only.
 *
 * The row has link, key, class and time in its columns; the body the rest. A payload stands there
 * as text when it is valid UTF-8 that JSON need not escape much, else as base64, so that the bytes
 * come back as they were. How often a parcel was sent is not kept: that would be a write per send.
 */
#pragma once

#include "bridge/outbox/outbox.h"

/* All that *from points to, in one block. The caller frees it with free(). 0 or -ENOMEM. */
int sb_parcel_copy(const struct sb_parcel *from, struct sb_parcel *ret,
                   void **ret_block) SB_MUST_CHECK;
size_t sb_parcel_bytes(const struct sb_parcel *parcel); /* payload and topic: what limits count */

json_t *sb_parcel_body(const struct sb_parcel *parcel); /* new reference; NULL: no memory */
/* As sb_parcel_copy(), from a row. -EBADMSG: not a parcel. */
int sb_parcel_from_row(const struct sb_row *row, struct sb_parcel *ret,
                       void **ret_block) SB_MUST_CHECK;
