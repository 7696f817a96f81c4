/* SPDX-License-Identifier: Apache-2.0 */
/* Files over MQTT: frames, and the gateway that asks for blocks until they are there. */
#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "tests/fakes/alibaba_world.h"
#include "tests/test.h"

#define DOWNLOAD "thing/file/download"
#define URI      "stream:?id=14267&file=1"
#define TOTAL    12000
#define BLOCK    5120

/* What was asked for last, by number; and how often. */
static const char *id_of(const struct ali *ali)
{
    return ali_text(ali, CORE_GATEWAY, DOWNLOAD, "id");
}

static size_t asked(const struct ali *ali)
{
    return ali_count(ali, CORE_GATEWAY, DOWNLOAD);
}

static int64_t asked_for(const struct ali *ali, const char *what)
{
    return sb_json_int(
        sb_json_object(sb_json_object(ali_last(ali, CORE_GATEWAY, DOWNLOAD), "params"),
                       "fileBlock"),
        what, -1);
}

/* The platform answers the last request, or one of that number, with what the caller says. */
static void answers(struct ali *ali, const char *id, int64_t offset, size_t size, int64_t total,
                    uint16_t flip)
{
    static char bytes[BLOCK + 1];
    memset(bytes, 'x', sizeof(bytes));
    sb_cleanup(sb_freep) char *header =
        sb_format("{\"id\":\"%s\",\"code\":200,\"data\":{\"fileLength\":%lld,\"bSize\":%zu,"
                  "\"bOffset\":%lld}}",
                  id ? id : id_of(ali), (long long)total, size, (long long)offset);
    ali_block(ali, header, bytes, size, flip);
}

/* ---- frames ---- */

static struct sb_message frame_of(const void *bytes, size_t n)
{
    struct sb_message message = { 0 };
    assert_int_equal(sb_alibaba_read_frame(bytes, n, &message), 0);
    return message;
}

#define HEADER                                                                                     \
    "\0\x51{\"id\":\"7\",\"code\":200,\"data\":{\"fileLength\":9,\"bSize\":9,\"bOffset\":0}}  "    \
    "            "

#define TEST(name) SB_TEST_OF(struct ali *ali, name, ali_begin_ready, ali_end)

SB_TEST(a_frame_is_taken_apart)
{
    assert_int_equal(sb_alibaba_crc16("123456789", 9), 0xbb3d); /* the catalogue's check value */
    static const char frame[] = HEADER "123456789\x3d\xbb";
    struct sb_message message = frame_of(frame, sizeof(frame) - 1);
    assert_null(message.error);
    assert_string_equal(message.id, "7");
    assert_int_equal(message.code, 200);
    assert_int_equal(message.size, 9);
    assert_memory_equal(message.data, "123456789", 9);
    assert_int_equal(sb_json_int(message.body, "fileLength", 0), 9);
    sb_message_done(&message);
}

SB_TEST(a_frame_that_does_not_hold_says_why)
{
    static const struct {
        const char *bytes;
        size_t n;
        const char *error;
    } cases[] = {
        { "", 0, "cut off" },
        { "\0", 1, "cut off" },
        { "\0\x09{}", 4, "cut off" },
        { "\0\x02{}", 4, NULL }, /* no code: a refusal without a reason */
        { "\0\x02{]", 4, "not valid JSON" },
        { HEADER "123456789\xbb\x3d", 94, "checksum" }, /* the other byte order */
        { HEADER "12345678\x3d\xbb", 93, "as long as it says" },
        { HEADER "123456789\x3d\xbb\0", 95, "as long as it says" },
        { "{\"code\":200,\"data\":{}}", 22, "no frame" },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        struct sb_message message = frame_of(cases[i].bytes, cases[i].n);
        assert_null(message.data);
        if (cases[i].error ? !message.error || !strstr(message.error, cases[i].error)
                           : message.error != NULL)
            fail_msg("%zu: %s", i, message.error ? message.error : "nothing wrong");
        sb_message_done(&message);
    }
    struct sb_message refused = frame_of("{\"id\":\"7\",\"code\":460}", 21);
    assert_null(refused.error);
    assert_int_equal(refused.code, 460);
    sb_message_done(&refused);
}

/* Whatever is damaged or missing: what is taken for the block is the block. */
SB_TEST(a_frame_that_is_damaged_anywhere)
{
    static const char frame[] = HEADER "123456789\x3d\xbb";
    char bytes[sizeof(frame) - 1];
    for (size_t n = 0; n < sizeof(bytes); n++) {
        struct sb_message message = frame_of(frame, n);
        assert_null(message.data);
        sb_message_done(&message);
    }
    for (size_t i = 0; i < sizeof(bytes) * 8; i++) {
        memcpy(bytes, frame, sizeof(bytes));
        bytes[i / 8] = (char)(bytes[i / 8] ^ 1 << i % 8);
        struct sb_message message = frame_of(bytes, sizeof(bytes));
        if (message.data) {
            assert_int_equal(message.size, 9);
            assert_memory_equal(message.data, "123456789", 9);
        }
        sb_message_done(&message);
    }
}

SB_TEST(streams_are_uris)
{
    struct sb_alibaba_stream stream = { 14267, 1 };
    sb_cleanup(sb_freep) char *uri = sb_alibaba_stream_uri(&stream);
    assert_string_equal(uri, URI);
    assert_true(sb_alibaba_stream_of(uri, &stream));
    stream = (struct sb_alibaba_stream){ INT64_MAX, INT64_MAX }; /* whatever number it is */
    sb_cleanup(sb_freep) char *most = sb_alibaba_stream_uri(&stream);
    assert_true(sb_alibaba_stream_of(most, &stream));
    assert_true(stream.id == INT64_MAX && stream.file == INT64_MAX);
    static const char *const wrong[] = { "stream:",
                                         "stream:?id=1",
                                         "stream:?id=0&file=1",
                                         "stream:?id=1&file=1x",
                                         "stream:?id=-1&file=1",
                                         "stream:?id=1&file=99999999999999999999",
                                         "https://h/stream:?id=1&file=1" };
    for (size_t i = 0; i < SB_COUNT(wrong); i++)
        assert_false(sb_alibaba_stream_of(wrong[i], &stream));
    assert_false(sb_alibaba_stream_of(NULL, &stream));
}

/* ---- blocks ---- */

TEST(blocks_are_asked_for_and_supplied)
{
    core_pulls(&ali->core, 5, URI, 0);
    assert_string_equal(ali_text(ali, CORE_GATEWAY, DOWNLOAD, "params"),
                        "{\"fileInfo\":{\"streamId\":14267,\"fileId\":1},"
                        "\"fileBlock\":{\"size\":5120,\"offset\":0}}");
    answers(ali, NULL, 0, BLOCK, TOTAL, 0);
    assert_int_equal(ali->core.supplied.count, 1);
    assert_int_equal(ali->core.supplied.download, 5);
    assert_int_equal(ali->core.supplied.total, TOTAL);
    assert_int_equal(ali->core.supplied.size, BLOCK);
    assert_int_equal(strspn(ali->core.supplied.bytes, "x"), BLOCK);
    assert_int_equal(core_timer(&ali->core, CORE_GATEWAY, "file"), -1);
    assert_int_equal(asked(ali), 1); /* one at a time, when it is pulled */
    core_pulls(&ali->core, 5, URI, 2 * BLOCK);
    assert_int_equal(asked_for(ali, "offset"), 2 * BLOCK);
    answers(ali, NULL, 2 * BLOCK, TOTAL - 2 * BLOCK, TOTAL, 0);
    assert_int_equal(ali->core.supplied.size, TOTAL - 2 * BLOCK);
    core_pulls(&ali->core, 5, NULL, 0);
    core_passes(&ali->core, SB_HOUR);
    assert_int_equal(asked(ali), 2);
}

TEST(a_damaged_block_is_asked_for_again)
{
    core_pulls(&ali->core, 5, URI, 0);
    answers(ali, NULL, 0, BLOCK, TOTAL, 1);
    assert_int_equal(asked(ali), 2);
    answers(ali, NULL, 0, BLOCK, TOTAL, 0x8000);
    assert_int_equal(asked(ali), 3);
    answers(ali, NULL, 0, BLOCK, TOTAL, 0);
    assert_int_equal(ali->core.supplied.count, 1);
    assert_int_equal(ali->core.supplied.cause, SB_CAUSE_NONE);
    core_pulls(&ali->core, 5, URI, BLOCK); /* counted anew */
    for (int i = 0; i < 3; i++)
        answers(ali, NULL, BLOCK, BLOCK, TOTAL, 1);
    assert_int_equal(ali->core.supplied.count, 2);
    assert_int_equal(ali->core.supplied.cause, SB_CAUSE_DOWNLOAD_FAILED);
    assert_non_null(strstr(ali->core.supplied.text, "checksum"));
    assert_int_equal(core_timer(&ali->core, CORE_GATEWAY, "file"), -1);
}

TEST(silence_and_refusals_end_in_a_failure)
{
    core_pulls(&ali->core, 5, URI, 0);
    core_passes(&ali->core, 29 * SB_SECOND);
    assert_int_equal(asked(ali), 3);
    assert_int_equal(ali->core.supplied.count, 0);
    core_passes(&ali->core, SB_SECOND);
    assert_int_equal(ali->core.supplied.cause, SB_CAUSE_DOWNLOAD_FAILED);
    assert_non_null(strstr(ali->core.supplied.text, "does not send"));
    core_pulls(&ali->core, 6, URI, 0);
    sb_cleanup(sb_freep) char *refusal =
        sb_format("{\"id\":\"%s\",\"code\":460,\"data\":{}}", id_of(ali));
    ali_hears(ali, CORE_GATEWAY, DOWNLOAD "_reply", refusal);
    assert_int_equal(ali->core.supplied.count, 1); /* it may think better of it */
    core_passes(&ali->core, 30 * SB_SECOND);
    assert_int_equal(ali->core.supplied.count, 2);
    assert_non_null(strstr(ali->core.supplied.text, "460"));
}

TEST(what_is_not_the_answer_changes_nothing)
{
    answers(ali, "1", 0, BLOCK, TOTAL, 0); /* nothing was asked for */
    core_pulls(&ali->core, 5, URI, BLOCK);
    answers(ali, "0", BLOCK, BLOCK, TOTAL, 0);
    answers(ali, "99999", BLOCK, BLOCK, TOTAL, 0);
    answers(ali, "x", BLOCK, BLOCK, TOTAL, 0);
    answers(ali, NULL, 0, BLOCK, TOTAL, 0); /* the block before, twice */
    ali_hears(ali, CORE_PUMP, DOWNLOAD "_reply", "{\"code\":460}");
    assert_int_equal(ali->core.supplied.count, 0);
    assert_int_equal(asked(ali), 1);
    sb_cleanup(sb_freep) char *first = strdup(id_of(ali));
    core_passes(&ali->core, 10 * SB_SECOND);
    assert_int_equal(asked(ali), 2);
    answers(ali, first, BLOCK, BLOCK, TOTAL, 0); /* late, and good all the same */
    assert_int_equal(ali->core.supplied.count, 1);
    answers(ali, NULL, BLOCK, BLOCK, TOTAL, 0); /* and then once more */
    assert_int_equal(ali->core.supplied.count, 1);
}

TEST(sizes_that_cannot_be_are_not_believed)
{
    core_pulls(&ali->core, 5, URI, 0);
    answers(ali, NULL, 0, BLOCK, 0, 0);
    answers(ali, NULL, 0, BLOCK, BLOCK - 1, 0);
    answers(ali, NULL, 0, BLOCK + 1, TOTAL, 0);
    assert_int_equal(ali->core.supplied.count, 1);
    assert_int_equal(ali->core.supplied.cause, SB_CAUSE_DOWNLOAD_FAILED);
    assert_null(ali->core.supplied.bytes);
}

/* Short blocks are taken, but not for ever. */
TEST(short_blocks_are_taken_a_few_times)
{
    for (int i = 0; i < 3; i++) {
        core_pulls(&ali->core, 5, URI, i);
        answers(ali, NULL, i, 1, TOTAL, 0);
        assert_int_equal(ali->core.supplied.size, 1);
        assert_int_equal(ali->core.supplied.cause, SB_CAUSE_NONE);
    }
    core_pulls(&ali->core, 5, URI, 3);
    assert_int_equal(ali->core.supplied.cause, SB_CAUSE_DOWNLOAD_FAILED);
    assert_non_null(strstr(ali->core.supplied.text, "too short"));
}

TEST(it_goes_on_when_the_connection_is_back)
{
    core_pulls(&ali->core, 5, URI, BLOCK);
    core_passes(&ali->core, 20 * SB_SECOND);
    ali_down(ali);
    core_passes(&ali->core, SB_HOUR);
    assert_int_equal(ali->core.supplied.count, 0);
    ali_clear(ali);
    ali_up(ali);
    assert_int_equal(asked(ali), 1);
    assert_int_equal(asked_for(ali, "offset"), BLOCK);
    core_passes(&ali->core, 29 * SB_SECOND);
    assert_int_equal(ali->core.supplied.count, 0);
    answers(ali, NULL, BLOCK, BLOCK, TOTAL, 0);
    assert_int_equal(ali->core.supplied.size, BLOCK);
    ali_down(ali);
    core_pulls(&ali->core, 5, "stream:?id=14300&file=2", 2 * BLOCK); /* pulled while it is down */
    ali_clear(ali);
    ali_up(ali);
    assert_string_equal(ali_text(ali, CORE_GATEWAY, DOWNLOAD, "params/fileInfo"),
                        "{\"streamId\":14300,\"fileId\":2}");
}

/* The platform pushes anew after a connect, and refuses what it had before. */
TEST(what_is_asked_for_again_is_called_as_it_is_now)
{
    core_pulls(&ali->core, 5, URI, BLOCK);
    sb_cleanup(sb_freep) char *refusal =
        sb_format("{\"id\":\"%s\",\"code\":460,\"data\":{}}", id_of(ali));
    ali_hears(ali, CORE_GATEWAY, DOWNLOAD "_reply", refusal);
    ali->core.stream = "stream:?id=14300&file=2";
    core_passes(&ali->core, 10 * SB_SECOND);
    assert_string_equal(ali_text(ali, CORE_GATEWAY, DOWNLOAD, "params/fileInfo"),
                        "{\"streamId\":14300,\"fileId\":2}");
    answers(ali, NULL, BLOCK, BLOCK, TOTAL, 1); /* damaged */
    assert_int_equal(asked(ali), 3);
    ali_down(ali);
    ali->core.stream = "stream:?id=14301&file=1";
    ali_clear(ali);
    ali_up(ali);
    assert_string_equal(ali_text(ali, CORE_GATEWAY, DOWNLOAD, "params/fileInfo"),
                        "{\"streamId\":14301,\"fileId\":1}");
    answers(ali, NULL, BLOCK, BLOCK, TOTAL, 0);
    assert_int_equal(ali->core.supplied.count, 1);
    assert_int_equal(ali->core.supplied.cause, SB_CAUSE_NONE);
}

TEST(who_is_not_wanted_any_more_is_left_alone)
{
    core_pulls(&ali->core, 5, URI, 0);
    core_pulls(&ali->core, 4, NULL, 0); /* an older one */
    assert_true(core_timer(&ali->core, CORE_GATEWAY, "file") > 0);
    core_pulls(&ali->core, 5, NULL, 0);
    answers(ali, NULL, 0, BLOCK, TOTAL, 0);
    core_passes(&ali->core, SB_HOUR);
    assert_int_equal(ali->core.supplied.count, 0);
    assert_int_equal(asked(ali), 1);
    core_pulls(&ali->core, 7, "stream:?id=1", 0);
    assert_int_equal(ali->core.supplied.cause, SB_CAUSE_INVALID_URI);
}
