/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Diagnostics: the protocol's place for what no response can tell any more. Durable: each is
 * settled by the platform's reply.
 */
#include "adapters/dialects/ibm/parts.h"
#include "bridge/base/crypto.h"
#include "bridge/base/str.h"

void sb_ibm_diag_log(struct sb_ibm_turn *turn, const char *text, enum sb_ibm_severity severity,
                     int64_t task)
{
    char id[SB_UUID_TEXT + 1];
    sb_uuid(id);
    sb_ibm_send(turn,
                &(struct sb_ibm_parcel){ .suffix = "out_log",
                                         .payload = sb_ibm_log(text, severity, turn->in->wall, id),
                                         .class = SB_PARCEL_ANSWER,
                                         .token = id,
                                         .what = "diagnostic log",
                                         .task = task });
}

static void error_code(struct sb_ibm_turn *turn, int code, int64_t task)
{
    char id[SB_UUID_TEXT + 1];
    sb_uuid(id);
    sb_cleanup(sb_freep) char *what = sb_format("error code %d", code);
    sb_ibm_send(turn, &(struct sb_ibm_parcel){ .suffix = "out_error",
                                               .payload = sb_ibm_error_code(code, id),
                                               .class = SB_PARCEL_ANSWER,
                                               .token = id,
                                               .what = what,
                                               .task = task });
    turn->state->error_told = true;
    turn->effects->save = true;
}

void sb_ibm_diag_failure(struct sb_ibm_turn *turn, const struct sb_task *task)
{
    sb_cleanup(sb_freep) char *reason = sb_dialect_task_text(turn->in, task);
    sb_cleanup(sb_freep) char *text =
        sb_format("%s %s: %s", sb_op_name((int)task->job->op), sb_task_state_name((int)task->state),
                  reason ? reason : "no reason known");
    sb_ibm_diag_log(turn, text, SB_IBM_ERROR, task->id);
    int64_t code = sb_json_int(sb_dialect_task_cell(turn->in, task), "errorCode", -1);
    if (code >= 0)
        error_code(turn, (int)code, task->id);
}

/* mgmt.firmware has no word for a success that nobody has seen: the log has. */
static void unproven(struct sb_ibm_turn *turn, const struct sb_task *task)
{
    sb_cleanup(sb_freep) char *text = sb_format(
        "%s succeeded, but %s", sb_op_name((int)task->job->op), sb_verify_text(task->verified));
    sb_ibm_diag_log(turn, text, SB_IBM_WARNING, task->id);
}

void sb_ibm_diag_success(struct sb_ibm_turn *turn, const struct sb_task *task)
{
    if (sb_task_is_unproven(task))
        unproven(turn, task);
    if (!turn->state->error_told)
        return;
    char id[SB_UUID_TEXT + 1];
    sb_uuid(id);
    sb_ibm_send(turn, &(struct sb_ibm_parcel){ .suffix = "out_error_clear",
                                               .payload = sb_ibm_request(NULL, id),
                                               .class = SB_PARCEL_ANSWER,
                                               .token = id,
                                               .what = "error codes cleared" });
    turn->state->error_told = false;
    turn->effects->save = true;
}
