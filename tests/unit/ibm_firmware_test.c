/* SPDX-License-Identifier: Apache-2.0 */
/* Download and update, from the request to its end. */
#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "tests/unit/ibm_bench.h"

TEST(a_download_says_what_it_wants)
{
    prepare(w);
    asks(w, DOWNLOAD, "d");
    const struct sb_output *submit = wiot_last(w, SB_OUT_SUBMIT);
    assert_int_equal(submit->op, SB_OP_FIRMWARE_DOWNLOAD);
    assert_string_equal(submit->tag, "d");
    sb_cleanup(sb_freep) char *text = sb_json_text(submit->package);
    assert_string_equal(text, "{\"uri\":\"https://h/x.bin?sig=1\",\"version\":\"2.0.0\","
                              "\"name\":\"n\",\"sha256\":\"" SHA "\"}");
    assert_int_equal(submit->policy.conflict, SB_CONFLICT_REPLACE_UNSTARTED);
    assert_int_equal(submit->policy.online_timeout, SB_DAY);
    assert_int_equal(wiot_timer(w, "ask:d"), 10 * SB_SECOND);
}

TEST(a_verifier_that_cannot_be_checked)
{
    describes(w, "u", "2", "https://h/x", "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    answered(w, 204, NULL);
    asks(w, DOWNLOAD, "d1");
    answered(w, 400, "verifier");
    w->config.verifier = SB_IBM_VERIFIER_IGNORE;
    asks(w, DOWNLOAD, "d2");
    sb_cleanup(sb_freep) char *text = sb_json_text(wiot_last(w, SB_OUT_SUBMIT)->package);
    assert_string_equal(text, "{\"uri\":\"https://h/x\",\"version\":\"2\",\"name\":\"n\"}");
    describes(w, "u2", "2", "https://h/x", "MD5:D41D8cd98f00b204e9800998ecf8427e");
    asks(w, DOWNLOAD, "d3");
    sb_cleanup(sb_freep) char *md5 = sb_json_text(wiot_last(w, SB_OUT_SUBMIT)->package);
    assert_string_equal(md5, "{\"uri\":\"https://h/x\",\"version\":\"2\",\"name\":\"n\","
                             "\"md5\":\"d41d8cd98f00b204e9800998ecf8427e\"}");
}

TEST(a_download_in_its_turn)
{
    download(w);
    asks(w, DOWNLOAD, "d2");
    answered(w, 400, "state is not 0");
    w->tasks[0].state = SB_TASK_SUCCEEDED;
    assert_int_equal(wiot_count(w, SB_OUT_SUBMIT), 0);
}

TEST(a_queued_action_is_accepted_after_a_while)
{
    prepare(w);
    asks(w, DOWNLOAD, "d");
    wiot_passes(w, 10 * SB_SECOND - 1);
    assert_true(wiot_silent(w));
    wiot_passes(w, 1);
    answered(w, 202, NULL);
    wiot_task(w, 0, SB_TASK_SENT);
    assert_true(wiot_silent(w));
    wiot_task(w, 0, SB_TASK_DOWNLOADING);
    notified(w, 1, 0);
}

TEST(a_failure_before_the_answer_is_the_answer)
{
    prepare(w);
    asks(w, DOWNLOAD, "d");
    wiot_fails(w, 0, SB_CAUSE_NO_SPACE, SB_PHASE_FETCHING);
    answered(w, 500, "no space");
    assert_true(wiot_silent(w)); /* no notify, no diagnostics */
    asks(w, DOWNLOAD, "d2");     /* and still idle */
    assert_int_equal(wiot_count(w, SB_OUT_SUBMIT), 2);
}

TEST(an_end_within_one_turn_is_accepted_then_told)
{
    prepare(w);
    asks(w, DOWNLOAD, "d");
    stage(w);
    wiot_task(w, 0, SB_TASK_SUCCEEDED);
    answered(w, 202, NULL);
    notified(w, 2, 0);
    assert_true(wiot_silent(w));
}

TEST(classes_and_keys_of_notifies)
{
    prepare(w);
    asks(w, DOWNLOAD, "d");
    wiot_task(w, 0, SB_TASK_DOWNLOADING);
    const struct sb_output *progress = wiot_last(w, SB_OUT_SEND);
    assert_int_equal(progress->class, SB_PARCEL_PROGRESS);
    assert_string_equal(progress->key, "firmware:pump-7");
    assert_int_equal(progress->task, 101);
    stage(w);
    wiot_task(w, 0, SB_TASK_SUCCEEDED);
    const struct sb_output *final = wiot_last(w, SB_OUT_SEND);
    assert_int_equal(final->class, SB_PARCEL_FINAL);
    assert_string_equal(final->key, "firmware:pump-7"); /* it takes unsent progress's place */
    assert_string_equal(final->token, sb_json_str(final->json, "reqId"));
}

TEST(unobserved_changes_wait_for_the_next_observe)
{
    prepare(w);
    says(w, "cancel", "{\"reqId\":\"c\",\"d\":{\"data\":[{\"field\":\"mgmt.firmware\"}]}}");
    answered(w, 200, NULL);
    asks(w, DOWNLOAD, "d");
    wiot_task(w, 0, SB_TASK_DOWNLOADING);
    answered(w, 202, NULL);
    wiot_fails(w, 0, SB_CAUSE_LINK_LOST, SB_PHASE_FETCHING);
    diagnosed(w, 109);
    assert_true(wiot_silent(w));
    assert_true(wiot_restarts(w));
    observes(w, "o");
    answered(w, 200, "\"state\":0,\"updateStatus\":3");
    assert_true(wiot_silent(w));
}

TEST(the_same_failure_twice_is_told_twice)
{
    prepare(w);
    for (size_t i = 0; i < 2; i++) {
        sb_cleanup(sb_freep) char *id = sb_format("d%zu", i);
        asks(w, DOWNLOAD, id);
        wiot_task(w, i, SB_TASK_SENT);
        answered(w, 202, NULL);
        wiot_fails(w, i, SB_CAUSE_LINK_LOST, SB_PHASE_FETCHING);
        notified(w, 0, 3);
        diagnosed(w, 109);
    }
}

SB_TEST(an_update_that_fails)
{
    static const struct {
        enum sb_cause cause;
        int status;
    } table[] = {
        { SB_CAUSE_NO_MEMORY, 2 },         { SB_CAUSE_NO_SPACE, 2 },
        { SB_CAUSE_UNSUPPORTED_IMAGE, 5 }, { SB_CAUSE_INSTALL_FAILED, 5 },
        { SB_CAUSE_ROLLED_BACK, 4 },       { SB_CAUSE_VERSION_MISMATCH, 4 },
        { SB_CAUSE_TIMEOUT, 5 },
    };
    for (size_t i = 0; i < SB_COUNT(table); i++) {
        struct wiot *w = wiot_new();
        download(w);
        asks(w, INSTALL, "i");
        wiot_task(w, 1, SB_TASK_INSTALLING);
        answered(w, 202, NULL);
        notified(w, 2, 1);
        wiot_fails(w, 1, table[i].cause, SB_PHASE_ACTIVATING);
        notified(w, 0, table[i].status);
        assert_non_null(wiot_next(w, "add/diag/log"));
        assert_non_null(wiot_next(w, "add/diag/errorCodes"));
        assert_true(wiot_silent(w)); /* nothing changed: no manage */
        asks(w, INSTALL, "i2");
        answered(w, 400, "not 2"); /* the platform has to download again, or write it again */
        describes(w, "u9", "2.0.0", "https://h/x.bin", SHA);
        answered(w, 204, NULL);
        asks(w, INSTALL, "i3");
        wiot_task(w, 2, SB_TASK_SENT);
        answered(w, 202, NULL);
        wiot_free(w);
    }
}

/* 0/0 is all that mgmt.firmware can say of a success; the log says how little is known of it. */
SB_TEST(a_success_that_was_not_read_back_is_said_to_be_so)
{
    static const struct {
        enum sb_verify verified;
        const char *doubt;
    } table[] = { { SB_VERIFY_NONE, "nothing was read back" },
                  { SB_VERIFY_STATUS, "no version was read back" },
                  { SB_VERIFY_VERSION, NULL },
                  { SB_VERIFY_HASH, NULL } };
    for (size_t i = 0; i < SB_COUNT(table); i++) {
        struct wiot *w = wiot_new();
        download(w);
        asks(w, INSTALL, "i");
        wiot_task(w, 1, SB_TASK_INSTALLING);
        answered(w, 202, NULL);
        notified(w, 2, 1);
        w->tasks[1].verified = table[i].verified;
        wiot_task(w, 1, SB_TASK_SUCCEEDED);
        notified(w, 0, 0);
        if (table[i].doubt) {
            const struct sb_output *log = wiot_next(w, "add/diag/log");
            assert_non_null(log);
            sb_cleanup(sb_freep) char *text = sb_json_text(log->json);
            assert_non_null(strstr(text, table[i].doubt));
            assert_non_null(strstr(text, "\"severity\":1"));
        }
        managed(w);
        assert_true(wiot_silent(w));
        wiot_free(w);
    }
}

TEST(a_failed_update_that_changed_the_version)
{
    download(w);
    asks(w, INSTALL, "i");
    wiot_task(w, 1, SB_TASK_INSTALLING);
    answered(w, 202, NULL);
    notified(w, 2, 1);
    (void)json_object_set_new(w->device.versions, "", json_string("1.9.9"));
    wiot_news(w, SB_NEWS_IDENTITY);
    assert_true(wiot_silent(w)); /* first the result */
    wiot_fails(w, 1, SB_CAUSE_VERSION_MISMATCH, SB_PHASE_CONFIRMING);
    notified(w, 0, 4);
    diagnosed(w, 117);
    managed(w);
}

TEST(a_write_of_what_is_staged_keeps_it)
{
    download(w);
    describes(w, "u", "2.0.0", "https://h/x.bin?sig=9", SHA); /* REST gave parameters */
    answered(w, 204, NULL);
    observes(w, "o");
    answered(w, 200, "\"state\":0");
    assert_true(wiot_restarts(w));
    asks(w, INSTALL, "i");
    wiot_task(w, 1, SB_TASK_INSTALLING);
    answered(w, 202, NULL);
    notified(w, 2, 1);
    assert_int_equal(wiot_count(w, SB_OUT_UNSTAGE), 0);
    assert_null(wiot_last(w, SB_OUT_SUBMIT)->package); /* what is staged */
}

SB_TEST(a_write_of_another_image_drops_ours, fresh, gone)
{
    static const char *const others[][3] = {
        { "2.0.0", "https://h/y.bin", SHA },
        { "2.0.1", "https://h/x.bin", SHA },
        { "2.0.0", "https://h/x.bin", "d41d8cd98f00b204e9800998ecf8427e00" },
    };
    for (size_t i = 0; i < 2; i++) {
        struct wiot *w = wiot_new();
        download(w);
        describes(w, "u", others[i][0], others[i][1], others[i][2]);
        answered(w, 204, NULL);
        assert_int_equal(wiot_count(w, SB_OUT_UNSTAGE), 1);
        wiot_news(w, SB_NEWS_STAGED);
        assert_true(wiot_silent(w));
        asks(w, INSTALL, "i");
        answered(w, 400, NULL);
        wiot_free(w);
    }
    struct wiot *w = *state;
    download(w);
    w->device.staged.door = "native"; /* an operator's is not ours to drop */
    describes(w, "u", others[0][0], others[0][1], others[0][2]);
    answered(w, 204, NULL);
    assert_int_equal(wiot_count(w, SB_OUT_UNSTAGE), 0);
    asks(w, INSTALL, "i");
    answered(w, 400, NULL);
}

TEST(a_digest_decides_too)
{
    download(w);
    describes(w, "u", "2.0.0", "https://h/x.bin",
              "ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff");
    answered(w, 204, NULL);
    asks(w, INSTALL, "i");
    answered(w, 400, NULL);
}

TEST(an_image_that_is_gone)
{
    download(w);
    w->staged = false;
    wiot_news(w, SB_NEWS_STAGED);
    assert_true(wiot_silent(w)); /* 0/0 would read as a success */
    asks(w, INSTALL, "i");
    answered(w, 400, NULL);
    observes(w, "o");
    answered(w, 200, "\"state\":0,\"updateStatus\":0");
}

TEST(gone_over_a_restart)
{
    download(w);
    w->staged = false;
    assert_true(wiot_restarts(w));
    assert_true(wiot_silent(w));
    asks(w, INSTALL, "i");
    answered(w, 400, NULL);
}

TEST(a_restart_in_the_middle)
{
    prepare(w);
    asks(w, DOWNLOAD, "d");
    assert_true(wiot_restarts(w));
    assert_int_equal(wiot_timer(w, "ask:d"), 10 * SB_SECOND);
    w->tasks[0].state = SB_TASK_DOWNLOADING;
    assert_true(wiot_restarts(w)); /* what it missed it is told */
    answered(w, 202, NULL);
    notified(w, 1, 0);
    assert_true(wiot_restarts(w));
    assert_true(wiot_silent(w));
    stage(w);
    wiot_task(w, 0, SB_TASK_SUCCEEDED);
    notified(w, 2, 0);
}

TEST(tasks_that_ended_unheard)
{
    prepare(w);
    asks(w, DOWNLOAD, "d");
    wiot_task(w, 0, SB_TASK_DOWNLOADING);
    asks(w, "mgmt/custom/southbridge/rinse", "c");
    asks(w, REBOOT, "r");
    wiot_forget(w);
    stage(w);
    for (size_t i = 0; i < 3; i++)
        w->tasks[i].state = SB_TASK_FAILED;
    assert_true(wiot_restarts(w));
    assert_int_equal(wiot_count(w, SB_OUT_LOOK), 3);
    diagnosed(w, 128);
    notified(w, 2, 0); /* what is staged speaks for itself */
    answered(w, 500, "not known");
    answered(w, 500, "not known");
    assert_true(wiot_silent(w));
}

TEST(a_device_that_speaks_the_dialect_keeps_its_numbers)
{
    prepare(w);
    asks(w, DOWNLOAD, "d");
    w->tasks[0].native = (struct sb_native){ .dialect = "ibm", .vocabulary = "rc", .code = "409" };
    wiot_fails(w, 0, SB_CAUSE_REFUSED, SB_PHASE_STARTING);
    answered(w, 409, NULL);
    asks(w, DOWNLOAD, "d2");
    wiot_task(w, 1, SB_TASK_DOWNLOADING);
    w->tasks[1].native =
        (struct sb_native){ .dialect = "ibm", .vocabulary = "updateStatus", .code = "6" };
    wiot_fails(w, 1, SB_CAUSE_REFUSED, SB_PHASE_STARTING);
    answered(w, 202, NULL);
    notified(w, 1, 0);
    notified(w, 0, 6);
}

/* A number of another vocabulary, or of another dialect, says nothing here: the cause does. */
SB_TEST(another_vocabulary_gets_the_causes_code)
{
    static const struct {
        const char *dialect, *vocabulary, *code;
    } natives[] = { { "smp", "rc", "409" },
                    { "smp", "updateStatus", "6" },
                    { "ibm", "err", "409" },
                    { "ibm", "rc", "nonsense" } };
    for (size_t i = 0; i < SB_COUNT(natives); i++) {
        struct wiot *w = wiot_new();
        const struct sb_native native = { (char *)natives[i].dialect, (char *)natives[i].vocabulary,
                                          (char *)natives[i].code, NULL };
        prepare(w);
        asks(w, DOWNLOAD, "d");
        w->tasks[0].native = native;
        wiot_fails(w, 0, SB_CAUSE_NO_SPACE, SB_PHASE_FETCHING);
        answered(w, 500, NULL);
        asks(w, DOWNLOAD, "d2");
        wiot_task(w, 1, SB_TASK_DOWNLOADING);
        w->tasks[1].native = native;
        wiot_fails(w, 1, SB_CAUSE_NO_SPACE, SB_PHASE_FETCHING);
        answered(w, 202, NULL);
        notified(w, 1, 0);
        notified(w, 0, 2);
        wiot_free(w);
    }
}

SB_TEST(every_failure_is_a_failure)
{
    for (int cause = SB_CAUSE_NONE + 1; cause < SB_CAUSE_MAX_; cause++) {
        for (int phase = 0; phase < SB_PHASE_MAX_; phase++) {
            struct wiot *w = wiot_new();
            prepare(w);
            asks(w, DOWNLOAD, "d");
            wiot_task(w, 0, SB_TASK_DOWNLOADING);
            wiot_forget(w);
            w->tasks[0].text = phase % 2 ? "as told by http://user:pw@host/x" : NULL;
            wiot_fails(w, 0, (enum sb_cause)cause, (enum sb_phase)phase);
            const struct sb_output *notify = wiot_next(w, "notify");
            assert_non_null(notify);
            const json_t *fields = json_object_get(json_object_get(notify->json, "d"), "fields");
            const json_t *value = json_object_get(json_array_get(fields, 0), "value");
            assert_int_equal(sb_json_int(value, "state", -1), 0);
            assert_in_range(sb_json_int(value, "updateStatus", -1), 2, 6);
            const struct sb_output *log = wiot_next(w, "add/diag/log");
            sb_cleanup(sb_freep) char *text = sb_json_text(log->json);
            assert_null(strstr(text, "pw@"));
            assert_non_null(wiot_next(w, "add/diag/errorCodes"));
            wiot_free(w);
        }
    }
}
