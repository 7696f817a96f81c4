/* SPDX-License-Identifier: Apache-2.0 */
/* Updates that the platform pushes: steps, failures, versions, redelivery, restarts. */
#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "tests/fakes/alibaba_world.h"
#include "tests/test.h"

#define PROGRESS "/ota/device/progress/"
#define INFORM   "/ota/device/inform/"
#define IMAGE_(version, query)                                                                     \
    "{\"size\":7,\"sign\":\"93230c3bde425a9d7984a594ac55ea1e\",\"version\":\"" version             \
    "\",\"url\":\"https://fw.example/a.bin?" query                                                 \
    "\",\"signMethod\":\"Md5\",\"md5\":\"93230c3bde425a9d7984a594ac55ea1e\"}"
#define IMAGE IMAGE_("2.0.0", "Expires=1")

static const char *step(const struct ali *ali)
{
    return ali_text(ali, CORE_PUMP, PROGRESS, "params/step");
}

/* ---- the course ---- */

#define TEST(name) SB_TEST_OF(struct ali *ali, name, ali_begin_ready, ali_end)

TEST(an_update_is_told_step_by_step)
{
    ali_pushes(ali, CORE_PUMP, IMAGE);
    assert_int_equal(ali->core.task_count, 1);
    assert_int_equal(ali->core.tasks[0].job.op, SB_OP_FIRMWARE_UPDATE);
    assert_string_equal(step(ali), ""); /* pushed: received, not begun */
    core_progress(&ali->core, 0, SB_TASK_SENT, 0);
    assert_string_equal(step(ali), "");
    core_progress(&ali->core, 0, SB_TASK_DOWNLOADING, 0);
    assert_string_equal(step(ali), "0");
    core_progress(&ali->core, 0, SB_TASK_DOWNLOADING, 3);
    assert_string_equal(step(ali), "0"); /* in fives */
    core_progress(&ali->core, 0, SB_TASK_INSTALLING, 60);
    assert_string_equal(step(ali), "60");
    core_progress(&ali->core, 0, SB_TASK_INSTALLING, 100);
    assert_string_equal(step(ali), "99"); /* 100 only when it restarts */
    core_progress(&ali->core, 0, SB_TASK_RESTARTING, 100);
    assert_string_equal(step(ali), "100");
    assert_int_equal(ali_count(ali, CORE_PUMP, INFORM), 0);
    core_version(&ali->core, CORE_PUMP, "", "2.0.0");
    core_task(&ali->core, 0, SB_TASK_SUCCEEDED);
    assert_int_equal(ali_count(ali, CORE_PUMP, INFORM), 1);
    assert_string_equal(ali_text(ali, CORE_PUMP, INFORM, "params"), "{\"version\":\"2.0.0\"}");
    assert_int_equal(ali_count(ali, CORE_PUMP, PROGRESS), 4);
}

TEST(a_success_without_a_restart_has_its_last_step)
{
    ali_pushes(ali, CORE_PUMP, IMAGE);
    json_object_set_new(ali->core.devices[CORE_PUMP].versions, "", json_string("2.0.0"));
    core_task(&ali->core, 0, SB_TASK_SUCCEEDED);
    assert_string_equal(step(ali), "100");
    assert_string_equal(ali_text(ali, CORE_PUMP, INFORM, "params/version"), "2.0.0");
}

SB_TEST_OF(struct ali *ali, modules_are_told_apart, ali_begin, ali_end)
{
    json_object_set_new(ali->core.devices[CORE_PUMP].versions, "mcu", json_string("7"));
    ali_up(ali);
    assert_int_equal(ali_count(ali, CORE_PUMP, INFORM), 2);
    assert_int_equal(ali_count(ali, CORE_PUMP, "thing/ota/firmware/get"), 2);
    ali_pushes(ali, CORE_PUMP,
               "{\"module\":\"mcu\",\"version\":\"8\",\"url\":\"https://h/m\","
               "\"sign\":\"93230c3bde425a9d7984a594ac55ea1e\"}");
    ali_pushes(ali, CORE_PUMP, IMAGE);
    assert_int_equal(ali->core.task_count, 2);
    core_progress(&ali->core, 0, SB_TASK_DOWNLOADING, 10);
    assert_string_equal(ali_text(ali, CORE_PUMP, PROGRESS, "params/module"), "mcu");
    core_progress(&ali->core, 1, SB_TASK_DOWNLOADING, 20);
    assert_string_equal(ali_text(ali, CORE_PUMP, PROGRESS, "params/module"), "");
    core_version(&ali->core, CORE_PUMP, "mcu", "8");
    assert_string_equal(ali_text(ali, CORE_PUMP, INFORM, "params/module"), "mcu");
    assert_int_equal(ali_count(ali, CORE_PUMP, INFORM), 3);
}

TEST(a_retry_is_not_seen)
{
    ali_pushes(ali, CORE_PUMP, IMAGE);
    core_progress(&ali->core, 0, SB_TASK_INSTALLING, 70);
    ali_clear(ali);
    core_progress(&ali->core, 0, SB_TASK_QUEUED, 0);
    core_progress(&ali->core, 0, SB_TASK_SENT, 0);
    core_progress(&ali->core, 0, SB_TASK_DOWNLOADING, 10);
    core_progress(&ali->core, 0, SB_TASK_INSTALLING, 71);
    assert_int_equal(ali_count(ali, CORE_PUMP, PROGRESS), 0);
    core_progress(&ali->core, 0, SB_TASK_INSTALLING, 80);
    assert_string_equal(step(ali), "80");
}

/* ---- failures ---- */

/* The platform answers the last question for firmware. */
static void offers(struct ali *ali, const char *data)
{
    sb_cleanup(sb_freep) char *text =
        sb_format("{\"id\":\"%s\",\"code\":200,\"data\":%s}",
                  ali_text(ali, CORE_PUMP, "thing/ota/firmware/get", "id"), data);
    ali_hears(ali, CORE_PUMP, "thing/ota/firmware/get_reply", text);
}

TEST(failures_have_their_step)
{
    static const struct {
        enum sb_cause cause;
        enum sb_phase phase;
        const char *step;
    } cases[] = {
        { SB_CAUSE_INSTALL_FAILED, SB_PHASE_ACTIVATING, "-1" },
        { SB_CAUSE_DOWNLOAD_FAILED, SB_PHASE_FETCHING, "-2" },
        { SB_CAUSE_VERIFY_FAILED, SB_PHASE_VERIFYING, "-3" },
        { SB_CAUSE_NO_SPACE, SB_PHASE_WRITING, "-4" },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        core_passes(&ali->core, 11 * SB_SECOND);
        ali_pushes(ali, CORE_PUMP, IMAGE); /* after a failure it is a new one */
        assert_int_equal(ali->core.task_count, i + 1);
        core_progress(&ali->core, i, SB_TASK_DOWNLOADING, 50);
        core_fails(&ali->core, i, cases[i].cause, cases[i].phase);
        assert_string_equal(step(ali), cases[i].step);
        assert_string_not_equal(ali_text(ali, CORE_PUMP, PROGRESS, "params/desc"), "");
    }
    offers(ali, "{}");
    ali_pushes(ali, CORE_PUMP, IMAGE); /* a device's own number comes back unchanged */
    ali->core.tasks[4].task.native = (struct sb_native){ "alibaba", "step", "-3", NULL };
    core_fails(&ali->core, 4, SB_CAUSE_INSTALL_FAILED, SB_PHASE_ACTIVATING);
    assert_string_equal(step(ali), "-3");
}

/* Somebody else has installed it meanwhile: to the platform that is the success. */
TEST(an_end_with_the_version_is_no_failure)
{
    ali_pushes(ali, CORE_PUMP, IMAGE);
    json_object_set_new(ali->core.devices[CORE_PUMP].versions, "", json_string("2.0.0"));
    core_news(&ali->core, CORE_PUMP, SB_NEWS_IDENTITY);
    assert_string_equal(ali_text(ali, CORE_PUMP, INFORM, "params/version"), "2.0.0");
    core_fails(&ali->core, 0, SB_CAUSE_OVERRIDDEN, SB_PHASE_WAITING);
    assert_int_equal(ali_count(ali, CORE_PUMP, PROGRESS), 0);
}

TEST(offers_that_cannot_be_are_refused)
{
    ali_pushes(ali, CORE_PUMP, "{\"version\":\"2\",\"files\":[{},{}]}");
    assert_string_equal(step(ali), "-1");
    ali_pushes(ali, CORE_PUMP, "{\"version\":\"2\",\"dProtocol\":\"mqtt\",\"streamId\":1}");
    assert_string_equal(step(ali), "-2");
    ali->core.refuse = SB_CAUSE_INVALID_URI;
    ali->core.refuse_text = "scheme ftp is not allowed";
    ali_pushes(ali, CORE_PUMP, IMAGE);
    assert_string_equal(step(ali), "-2");
    assert_string_equal(ali_text(ali, CORE_PUMP, PROGRESS, "params/desc"),
                        "scheme ftp is not allowed");
    ali->core.refuse = SB_CAUSE_NONE;
    ali->core.unsupported = 1U << SB_OP_FIRMWARE_UPDATE;
    ali_pushes(ali, CORE_PUMP, IMAGE);
    assert_string_equal(step(ali), "-1");
    ali_pushes(ali, CORE_GATEWAY, IMAGE);
    assert_string_equal(ali_text(ali, CORE_GATEWAY, PROGRESS, "params/step"), "-1");
    assert_int_equal(ali->core.task_count, 0);
    ali_hears(ali, CORE_PUMP, "/ota/device/upgrade/pk1/pump-7", "{nonsense");
    assert_non_null(strstr(ali->core.note, "not valid JSON"));
}

TEST(a_busy_gateway_asks_again)
{
    ali->core.ready = false;
    ali_pushes(ali, CORE_PUMP, IMAGE);
    ali->core.ready = true;
    ali->core.refuse = SB_CAUSE_BUSY;
    ali_pushes(ali, CORE_PUMP, IMAGE);
    assert_int_equal(ali_count(ali, CORE_PUMP, PROGRESS), 0);
    core_passes(&ali->core, SB_MINUTE);
    assert_int_equal(ali_count(ali, CORE_PUMP, "thing/ota/firmware/get"), 1);
}

/* ---- once ---- */

TEST(a_push_again_is_the_same_update_with_fresh_credentials)
{
    ali_pushes(ali, CORE_PUMP, IMAGE);
    core_progress(&ali->core, 0, SB_TASK_DOWNLOADING, 10);
    ali_pushes(ali, CORE_PUMP, IMAGE_("2.0.0", "Expires=2"));
    assert_int_equal(ali->core.task_count, 1);
    assert_non_null(strstr(sb_json_str(ali->core.tasks[0].package, "uri"), "Expires=2"));
    assert_int_equal(ali_count(ali, CORE_PUMP, PROGRESS), 1);
}

TEST(what_is_there_is_answered_by_its_version)
{
    ali_pushes(ali, CORE_PUMP, IMAGE_("1.0.0", "x"));
    assert_int_equal(ali->core.task_count, 0);
    assert_string_equal(ali_text(ali, CORE_PUMP, INFORM, "params/version"), "1.0.0");
}

TEST(another_version_waits_or_takes_the_place)
{
    ali_pushes(ali, CORE_PUMP, IMAGE);
    ali_pushes(ali, CORE_PUMP, IMAGE_("3.0.0", "x"));
    assert_int_equal(ali->core.cancelled, 101); /* it had not begun */
    assert_int_equal(ali_count(ali, CORE_PUMP, PROGRESS), 0);
    core_progress(&ali->core, 1, SB_TASK_INSTALLING, 40);
    ali_pushes(ali, CORE_PUMP, IMAGE_("4.0.0", "x")); /* this one has: it cannot be stopped */
    assert_int_equal(ali->core.cancelled, 101);
    assert_int_equal(ali->core.task_count, 3);
    ali_clear(ali);
    core_fails(&ali->core, 1, SB_CAUSE_INSTALL_FAILED, SB_PHASE_ACTIVATING);
    assert_int_equal(ali_count(ali, CORE_PUMP, PROGRESS), 0); /* not the end of the new one */
    core_progress(&ali->core, 2, SB_TASK_DOWNLOADING, 5);
    assert_string_equal(step(ali), "5");
}

/* ---- connections and restarts ---- */

TEST(each_login_tells_and_asks)
{
    ali_pushes(ali, CORE_PUMP, IMAGE);
    core_progress(&ali->core, 0, SB_TASK_INSTALLING, 40);
    ali_down(ali);
    core_progress(&ali->core, 0, SB_TASK_INSTALLING, 80); /* nothing is said while down */
    ali_clear(ali);
    ali_up(ali);
    assert_int_equal(ali_count(ali, CORE_PUMP, INFORM), 0); /* it may not be the old one, there */
    assert_string_equal(step(ali), "80");
    assert_int_equal(ali_count(ali, CORE_PUMP, "thing/ota/firmware/get"), 1);
    assert_string_equal(ali_text(ali, CORE_PUMP, "thing/ota/firmware/get", "params"), "{}");
    ali_hears(ali, CORE_PUMP, "thing/ota/firmware/get_reply",
              "{\"id\":\"1\",\"code\":200,\"data\":" IMAGE_("2.0.0", "Expires=3") "}");
    assert_int_equal(ali->core.task_count, 1);
    assert_non_null(strstr(sb_json_str(ali->core.tasks[0].package, "uri"), "Expires=3"));
    core_fails(&ali->core, 0, SB_CAUSE_WRITE_FAILED, SB_PHASE_WRITING);
    assert_string_equal(step(ali), "-4");
    assert_int_equal(ali_count(ali, CORE_PUMP, INFORM), 1);
}

/* A step names no version: what the platform does not wait for is not told. */
TEST(a_failure_is_told_when_it_is_offered_again)
{
    ali_pushes(ali, CORE_PUMP, IMAGE);
    core_progress(&ali->core, 0, SB_TASK_INSTALLING, 40);
    ali_down(ali);
    core_fails(&ali->core, 0, SB_CAUSE_WRITE_FAILED, SB_PHASE_WRITING);
    for (int i = 0; i < 2; i++) { /* the first time its connection breaks before it is settled */
        ali_restarts(ali);
        ali_clear(ali);
        ali_up(ali);
        assert_string_equal(step(ali), "");
        offers(ali, IMAGE);
        assert_string_equal(step(ali), "-4");
        ali_pushes(ali, CORE_PUMP, IMAGE); /* that was on its way */
        assert_int_equal(ali->core.task_count, 1);
        assert_int_equal(ali_count(ali, CORE_PUMP, PROGRESS), 1);
    }
    offers(ali, "{}"); /* the platform has it */
    ali_pushes(ali, CORE_PUMP, IMAGE);
    assert_int_equal(ali->core.task_count, 2);
    assert_int_equal(ali_count(ali, CORE_PUMP, PROGRESS), 1);
}

/* It has it, and wants another attempt at once. */
TEST(a_failure_is_tried_anew_when_it_is_wanted)
{
    for (size_t i = 0; i < 3; i++) {
        if (i == 0)
            ali_pushes(ali, CORE_PUMP, IMAGE);
        else if (i == 1)
            offers(ali, IMAGE);
        else
            ali_pushes(ali, CORE_PUMP, IMAGE);
        assert_int_equal(ali->core.task_count, i + 1);
        core_progress(&ali->core, i, SB_TASK_INSTALLING, 40);
        core_fails(&ali->core, i, SB_CAUSE_WRITE_FAILED, SB_PHASE_WRITING);
        assert_string_equal(step(ali), "-4");
        core_passes(&ali->core, 11 * SB_SECOND);
    }
}

TEST(a_failure_is_not_told_of_another_version)
{
    ali_pushes(ali, CORE_PUMP, IMAGE);
    core_progress(&ali->core, 0, SB_TASK_INSTALLING, 40);
    ali_down(ali);
    core_fails(&ali->core, 0, SB_CAUSE_WRITE_FAILED, SB_PHASE_WRITING);
    ali_clear(ali);
    ali_up(ali);
    ali_pushes(ali, CORE_PUMP, IMAGE_("3.0.0", "x"));
    assert_int_equal(ali->core.task_count, 2);
    core_progress(&ali->core, 1, SB_TASK_DOWNLOADING, 5);
    assert_string_equal(step(ali), "5");
    assert_int_equal(ali_count(ali, CORE_PUMP, PROGRESS), 1);
}

/* One that was told is not told again with the next login. */
TEST(a_failure_is_told_once)
{
    ali_pushes(ali, CORE_PUMP, IMAGE);
    core_progress(&ali->core, 0, SB_TASK_INSTALLING, 40);
    core_fails(&ali->core, 0, SB_CAUSE_WRITE_FAILED, SB_PHASE_WRITING);
    assert_string_equal(step(ali), "-4");
    ali_down(ali);
    ali_restarts(ali);
    ali_clear(ali);
    ali_up(ali);
    offers(ali, "{}");
    assert_string_equal(step(ali), "");
}

#define GET_REPLY(data) "{\"id\":\"1\",\"code\":200,\"data\":" data "}"

/* Else the next login would tell it as the end of what is offered then. */
TEST(a_failure_is_not_told_of_another_task)
{
    ali_pushes(ali, CORE_PUMP, IMAGE);
    core_fails(&ali->core, 0, SB_CAUSE_WRITE_FAILED, SB_PHASE_WRITING);
    assert_string_equal(step(ali), "-4");
    assert_int_equal(ali_count(ali, CORE_PUMP, "thing/ota/firmware/get"), 1); /* has it heard? */
    ali_hears(ali, CORE_PUMP, "thing/ota/firmware/get_reply", GET_REPLY("{}"));
    ali_down(ali);
    ali_clear(ali);
    ali_up(ali);
    ali_pushes(ali, CORE_PUMP, IMAGE_("2.0.1", "Expires=1"));
    assert_string_equal(step(ali), "");
}

/* What was on its way before the failure was heard there is no new wish. */
TEST(an_offer_that_crosses_a_failure_is_none)
{
    ali_pushes(ali, CORE_PUMP, IMAGE);
    core_fails(&ali->core, 0, SB_CAUSE_WRITE_FAILED, SB_PHASE_WRITING);
    ali_hears(ali, CORE_PUMP, "thing/ota/firmware/get_reply", GET_REPLY(IMAGE));
    ali_pushes(ali, CORE_PUMP, IMAGE);
    assert_int_equal(ali->core.task_count, 1);
    offers(ali, "{}");
    ali_pushes(ali, CORE_PUMP, IMAGE); /* that is one */
    assert_int_equal(ali->core.task_count, 2);
    ali_down(ali);
    core_fails(&ali->core, 1, SB_CAUSE_WRITE_FAILED, SB_PHASE_WRITING);
    ali_up(ali);
    ali_pushes(ali, CORE_PUMP, IMAGE); /* at the login, as platforms do */
    ali_pushes(ali, CORE_PUMP, IMAGE);
    assert_int_equal(ali->core.task_count, 2);
    offers(ali, IMAGE);
    assert_int_equal(ali->core.task_count, 3); /* it has heard, and wants it still */
    ali_down(ali);
    core_fails(&ali->core, 2, SB_CAUSE_WRITE_FAILED, SB_PHASE_WRITING);
    ali_up(ali);
    ali_pushes(ali, CORE_PUMP, IMAGE);
    core_passes(&ali->core, SB_MINUTE); /* it does not answer; but it pushes */
    ali_pushes(ali, CORE_PUMP, IMAGE);
    assert_int_equal(ali->core.task_count, 4);
}

TEST(an_update_goes_on_over_a_restart_after_each_step)
{
    static const struct {
        enum sb_task_state state;
        uint8_t percent;
    } course[] = { { SB_TASK_QUEUED, 0 },      { SB_TASK_SENT, 0 },
                   { SB_TASK_DOWNLOADING, 5 }, { SB_TASK_DOWNLOADED, 40 },
                   { SB_TASK_INSTALLING, 70 }, { SB_TASK_RESTARTING, 100 } };
    ali_pushes(ali, CORE_PUMP, IMAGE);
    int last = -1;
    for (size_t i = 0; i < SB_COUNT(course); i++) {
        core_progress(&ali->core, 0, course[i].state, course[i].percent);
        ali_restarts(ali);
        ali_clear(ali);
        ali_up(ali);
        ali_pushes(ali, CORE_PUMP, IMAGE);
        assert_int_equal(ali->core.task_count, 1);
        int told = *step(ali) ? (int)strtol(step(ali), NULL, 10) : -1;
        assert_true(told >= last);
        last = told;
    }
    assert_int_equal(last, 100);
    json_object_set_new(ali->core.devices[CORE_PUMP].versions, "", json_string("2.0.0"));
    core_task(&ali->core, 0, SB_TASK_SUCCEEDED);
    assert_string_equal(ali_text(ali, CORE_PUMP, INFORM, "params/version"), "2.0.0");
}

TEST(an_update_that_ended_unheard)
{
    ali_pushes(ali, CORE_PUMP, IMAGE);
    core_progress(&ali->core, 0, SB_TASK_INSTALLING, 40);
    ali->core.tasks[0].task.state = SB_TASK_FAILED;
    ali_restarts(ali);
    ali_up(ali);
    ali_pushes(ali, CORE_PUMP, IMAGE);
    assert_string_equal(step(ali), "-1");
    offers(ali, IMAGE);
    core_progress(&ali->core, 1, SB_TASK_RESTARTING, 100);
    ali->core.tasks[1].task.state = SB_TASK_SUCCEEDED;
    json_object_set_new(ali->core.devices[CORE_PUMP].versions, "", json_string("2.0.0"));
    ali_restarts(ali);
    ali_clear(ali);
    ali_up(ali);
    assert_string_equal(step(ali), "");
    assert_string_equal(ali_text(ali, CORE_PUMP, INFORM, "params/version"), "2.0.0");
}

TEST(versions_are_told_whoever_changed_them)
{
    core_version(&ali->core, CORE_PUMP, "", "1.5.0");
    core_news(&ali->core, CORE_PUMP, SB_NEWS_IDENTITY);
    assert_int_equal(ali_count(ali, CORE_PUMP, INFORM), 1);
    ali_down(ali);
    ali_up(ali);
    assert_int_equal(ali_count(ali, CORE_PUMP, INFORM), 2);
}

TEST(who_is_updated_stays_logged_in)
{
    ali_pushes(ali, CORE_PUMP, IMAGE);
    core_progress(&ali->core, 0, SB_TASK_RESTARTING, 100);
    core_presence(&ali->core, CORE_PUMP, SB_PRESENCE_OFFLINE);
    assert_true(ali->in[CORE_PUMP]);
    core_fails(&ali->core, 0, SB_CAUSE_TIMEOUT, SB_PHASE_RESTARTING);
    assert_string_equal(step(ali), "-1");
    assert_false(ali->in[CORE_PUMP]);
}

/* ---- who is away ---- */

/* The connection was lost while the device restarts: its update goes on, and so does the report. */
TEST(an_update_of_a_device_that_is_away_is_told)
{
    ali_pushes(ali, CORE_PUMP, IMAGE);
    core_progress(&ali->core, 0, SB_TASK_RESTARTING, 90);
    core_presence(&ali->core, CORE_PUMP, SB_PRESENCE_OFFLINE);
    ali_down(ali);
    ali_clear(ali);
    ali_up(ali);
    assert_true(ali->in[CORE_PUMP]);
    assert_string_equal(step(ali), "100");
    core_fails(&ali->core, 0, SB_CAUSE_TIMEOUT, SB_PHASE_RESTARTING);
    assert_string_equal(step(ali), "-1");
    assert_false(ali->in[CORE_PUMP]);
}

/* It failed while nobody could be told, and stays away. */
TEST(a_failure_of_a_device_that_is_away_is_told)
{
    ali_pushes(ali, CORE_PUMP, IMAGE);
    core_progress(&ali->core, 0, SB_TASK_INSTALLING, 50);
    ali_down(ali);
    core_presence(&ali->core, CORE_PUMP, SB_PRESENCE_OFFLINE);
    core_fails(&ali->core, 0, SB_CAUSE_WRITE_FAILED, SB_PHASE_WRITING);
    ali_restarts(ali);
    ali_clear(ali);
    ali_up(ali);
    assert_true(ali->in[CORE_PUMP]);
    offers(ali, IMAGE);
    assert_string_equal(step(ali), "-4");
    assert_int_equal(ali->core.task_count, 1);
    assert_false(ali->in[CORE_PUMP]);
    core_passes(&ali->core, SB_DAY);
    core_news(&ali->core, CORE_PUMP, SB_NEWS_PRESENCE);
    assert_int_equal(ali_count(ali, CORE_PUMP, PROGRESS), 1); /* once */
}

/* The same version at another place is the same update to the platform. */
TEST(a_push_with_another_url_does_not_begin_anew)
{
    ali_pushes(ali, CORE_PUMP, IMAGE);
    core_progress(&ali->core, 0, SB_TASK_INSTALLING, 60);
    assert_string_equal(step(ali), "60");
    ali_pushes(ali, CORE_PUMP,
               "{\"size\":7,\"sign\":\"93230c3bde425a9d7984a594ac55ea1e\",\"version\":\"2.0.0\","
               "\"url\":\"https://fw.example/moved/a.bin\",\"signMethod\":\"Md5\"}");
    assert_int_equal(ali->core.task_count, 2);
    core_progress(&ali->core, 1, SB_TASK_DOWNLOADING, 5);
    assert_string_equal(step(ali), "60");
    core_progress(&ali->core, 0, SB_TASK_INSTALLING, 70); /* it goes on */
    assert_string_equal(step(ali), "70");
    ali_restarts(ali);
    ali_up(ali);
    core_fails(&ali->core, 0, SB_CAUSE_WRITE_FAILED,
               SB_PHASE_WRITING); /* and the other takes over */
    assert_string_equal(step(ali), "70");
    core_progress(&ali->core, 1, SB_TASK_INSTALLING, 80);
    assert_string_equal(step(ali), "80");
    core_fails(&ali->core, 1, SB_CAUSE_VERIFY_FAILED, SB_PHASE_VERIFYING);
    assert_string_equal(step(ali), "-3");
}
