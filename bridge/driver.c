/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/driver.h"

void sb_identity_done(struct sb_identity *identity)
{
    json_decref(identity->identity);
    json_decref(identity->versions);
    json_decref(identity->properties);
    *identity = (struct sb_identity){ 0 };
}

void sb_outcome_done(struct sb_outcome *outcome)
{
    sb_native_done(&outcome->native);
    free(outcome->text);
    free(outcome->transcript);
    json_decref(outcome->result);
    sb_identity_done(&outcome->after);
    *outcome = (struct sb_outcome){ 0 };
}
