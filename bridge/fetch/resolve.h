/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names to addresses, here and not in the HTTP library: so that each address is checked before
 * anything is sent, the same answer is used for the connection, and no thread is needed. The answer
 * pins the name, so a second look-up cannot turn it to another address. Blocks as long as the
 * system's resolver does.
 */
#pragma once

#include <curl/curl.h>

#include "bridge/fetch/result.h"
#include "bridge/package/uri.h"

/* Adds "host:port:addresses" to *list. rules NULL: any address (a configured proxy). 0 or -1. */
int sb_resolve(const struct sb_uri *uri, const struct sb_uri_rules *rules, struct curl_slist **list,
               struct sb_result *result) SB_MUST_CHECK;
/* Numeric text of a socket address; false: of another family. */
bool sb_address_text(const struct sockaddr *address, char *ret, size_t room);
