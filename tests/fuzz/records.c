/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any JSON as a record that the store gives back, by its first byte a job, a task, a policy, a
 * device or an IBM conversation: refused, or something that is stored as it was read.
 */
#include <errno.h>

#include "adapters/dialects/ibm/conversation.h"
#include "bridge/base/str.h"
#include "bridge/device/parts.h"
#include "bridge/job/job.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* Each gives the stored form of what it read, or NULL when it refuses. */
static json_t *job(const json_t *json)
{
    sb_cleanup(sb_job_freep) struct sb_job *read = NULL;
    sb_cleanup(sb_freep) char *error = NULL;
    int r = sb_job_from_json(json, &read, &error);
    check((r == 0) == (read != NULL) && (r == 0 || (r == -EBADMSG && error)));
    return read ? sb_job_json(read) : NULL;
}

static json_t *task(const json_t *json)
{
    struct sb_job owner = { .id = 1 };
    struct sb_task *read = NULL;
    sb_cleanup(sb_freep) char *error = NULL;
    int r = sb_task_from_json(json, &owner, &read, &error);
    check((r == 0) == (read != NULL) && (r == 0 || (r == -EBADMSG && error)));
    json_t *stored = read ? sb_task_json(read) : NULL;
    sb_task_free(read);
    return stored;
}

static json_t *policy(const json_t *json)
{
    struct sb_policy read = { 0 };
    sb_cleanup(sb_freep) char *error = NULL;
    int r = sb_policy_from_json(json, &read, &error);
    check(r == 0 || (r == -EBADMSG && error));
    json_t *stored = r == 0 ? sb_policy_json(&read) : NULL;
    sb_policy_done(&read);
    return stored;
}

static json_t *device(const json_t *json)
{
    sb_cleanup(sb_device_freep) struct sb_device *read = NULL;
    int r = sb_device_from_json(json, &read);
    check((r == 0) == (read != NULL) && (r == 0 || r == -EBADMSG));
    return read ? sb_device_json(read) : NULL;
}

static json_t *conversation(const json_t *json)
{
    void *read = sb_ibm_load(json);
    check(read);
    json_t *stored = sb_ibm_save(read);
    sb_ibm_drop(read);
    return stored;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static json_t *(*const kinds[])(const json_t *) = { job, task, policy, device, conversation };
    const struct sb_json_limits limits = { .bytes = 262144 };
    sb_cleanup(json_decrefp) json_t *json = NULL;
    if (size == 0 || sb_json_parse(data + 1, size - 1, &limits, &json, NULL) < 0)
        return 0;
    json_t *(*read)(const json_t *) = kinds[data[0] % SB_COUNT(kinds)];
    sb_cleanup(json_decrefp) json_t *stored = read(json);
    if (!stored)
        return 0;
    sb_cleanup(json_decrefp) json_t *again = read(stored);
    check(again && json_equal(stored, again));
    return 0;
}
