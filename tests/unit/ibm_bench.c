/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/ibm_bench.h"

#include "bridge/base/str.h"
#include "tests/test.h"

int fresh(void **state)
{
    *state = wiot_new();
    return 0;
}

int gone(void **state)
{
    wiot_free(*state);
    return 0;
}

void says(struct wiot *w, const char *suffix, const char *fmt, ...)
{
    struct sb_str text = { 0 };
    va_list ap;
    va_start(ap, fmt);
    sb_str_vformat(&text, fmt, ap);
    va_end(ap);
    wiot_says(w, suffix, sb_str_get(&text));
    sb_str_done(&text);
}

void asks(struct wiot *w, const char *suffix, const char *id)
{
    says(w, suffix, "{\"reqId\":\"%s\"}", id);
}

void answered(struct wiot *w, int rc, const char *part)
{
    const struct sb_output *output = wiot_next(w, "response");
    assert_non_null(output);
    sb_cleanup(sb_freep) char *text = sb_json_text(output->json);
    if (sb_json_int(output->json, "rc", 0) != rc)
        fail_msg("wanted rc %d: %s", rc, text);
    if (part && !strstr(text, part))
        fail_msg("wanted '%s': %s", part, text);
    assert_int_equal(output->class, SB_PARCEL_ANSWER);
    assert_int_equal(output->qos, 1);
}

void notified(struct wiot *w, int state, int status)
{
    const struct sb_output *output = wiot_next(w, "notify");
    assert_non_null(output);
    sb_cleanup(json_decrefp) json_t *want = sb_ibm_notify(state, status, output->token);
    sb_cleanup(sb_freep) char *text = sb_json_text(output->json);
    if (!json_equal(want, output->json))
        fail_msg("wanted %d/%d: %s", state, status, text);
}

void managed(struct wiot *w)
{
    const struct sb_output *output = wiot_next(w, MANAGE);
    assert_non_null(output);
    assert_int_equal(output->class, SB_PARCEL_PASSING);
    assert_null(output->token);
}

void describes(struct wiot *w, const char *id, const char *version, const char *uri,
               const char *verifier)
{
    says(w, "device/update",
         "{\"reqId\":\"%s\",\"d\":{\"fields\":[{\"field\":\"mgmt.firmware\",\"value\":{"
         "\"version\":\"%s\",\"name\":\"n\",\"uri\":\"%s\",\"verifier\":\"%s\",\"state\":0,"
         "\"updateStatus\":0,\"updatedDateTime\":\"\"}}]}}",
         id, version, uri, verifier);
}

void observes(struct wiot *w, const char *id)
{
    says(w, "observe", OBSERVE, id);
}

void diagnosed(struct wiot *w, int code)
{
    assert_non_null(wiot_next(w, "add/diag/log"));
    const struct sb_output *error = wiot_next(w, "add/diag/errorCodes");
    assert_non_null(error);
    assert_int_equal(sb_json_int(json_object_get(error->json, "d"), "errorCode", -1), code);
    assert_string_equal(error->token, sb_json_str(error->json, "reqId"));
    assert_int_equal(error->class, SB_PARCEL_ANSWER);
}

void prepare(struct wiot *w)
{
    wiot_up(w);
    wiot_replies(w, wiot_last(w, SB_OUT_SEND), 200);
    describes(w, "prep-u", "2.0.0", "https://h/x.bin?sig=1", SHA);
    observes(w, "prep-o");
    wiot_forget(w);
}

void stage(struct wiot *w)
{
    w->staged = true;
    w->package = (struct sb_package){ .id = "p-1",
                                      .name = "n",
                                      .version = "2.0.0",
                                      .uri = "https://h/x.bin?sig=2",
                                      .sha256 = SHA,
                                      .artifact = SHA };
    w->device.staged.package = "p-1";
    w->device.staged.door = "cloud";
}

void download(struct wiot *w)
{
    prepare(w);
    asks(w, DOWNLOAD, "prep-d");
    wiot_task(w, 0, SB_TASK_DOWNLOADING);
    stage(w);
    wiot_task(w, 0, SB_TASK_SUCCEEDED);
    wiot_forget(w);
}
