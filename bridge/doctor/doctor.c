/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/doctor/doctor.h"

#include <errno.h>
#include <stdio.h>

#include "bridge/base/log.h"
#include "bridge/base/str.h"
#include "bridge/doctor/parts.h"

#define KNOWN_MAX ((size_t)1 << 20)
#define TEXT_MAX  1500 /* bytes of a finding: a line of output has to fit its reader's buffer */

const struct sb_doctor_check sb_doctor_checks[] = {
    { "daemon", sb_doctor_daemon, false, "whether it runs, is paused, or does not start work" },
    { "config", sb_doctor_config, false, "the configuration file" },
    { "mappings", sb_doctor_mappings, true, "dialects' words and device types" },
    { "devices", sb_doctor_devices, true, "the files that declare devices" },
    { "control", sb_doctor_control, true, "the control socket and its group" },
    { "store", sb_doctor_store, true, "the store: there, writable, its schema, intact" },
    { "space", sb_doctor_space, true, "the images' directory, free space against the floor" },
    { "helper", sb_doctor_helper, false, "the program that fetches images" },
    { "clock", sb_doctor_clock, false, "whether the clock is set" },
    { "bus", sb_doctor_buses, true, "each bus: port, rights, who holds it" },
    { "link", sb_doctor_links, true, "each link: name, TCP, TLS, login" },
    { 0 },
};

void sb_doctor_tell(struct sb_doctor *doctor, const char *name, struct sb_exam *exam)
{
    static char no_memory[] = "out of memory: something is not told here";
    const struct sb_exam_line missing = { .health = SB_HEALTH_WARNING, .text = no_memory };
    for (size_t i = 0; i < exam->count; i++)
        doctor->parts->tell(doctor->parts->arg, doctor->check->name, name, &exam->lines[i]);
    if (exam->broken)
        doctor->parts->tell(doctor->parts->arg, doctor->check->name, name, &missing);
    sb_exam_done(exam);
}

void sb_doctor_run(const struct sb_doctor_parts *parts)
{
    struct sb_doctor doctor = { .parts = parts };
    for (doctor.check = sb_doctor_checks; doctor.check->name; doctor.check++)
        if (doctor.config || !doctor.check->needs_config)
            doctor.check->run(&doctor);
    sb_diags_done(&doctor.findings);
    sb_config_free(doctor.config);
}

/* ---- as a program ---- */

/* Texts are made of foreign ones: they are cut where UTF-8 allows it. */
static char *bounded(const char *text)
{
    sb_cleanup(sb_freep) char *shown = text ? sb_redact(text) : NULL;
    size_t n = shown ? strnlen(shown, TEXT_MAX) : 0;
    while (shown && n > 0 && ((unsigned char)shown[n] & 0xc0) == 0x80)
        n--;
    return shown ? strndup(shown, n) : NULL;
}

static void print(void *arg, const char *check, const char *name, const struct sb_exam_line *line)
{
    bool *failed = arg;
    sb_cleanup(sb_freep) char *said = bounded(line->text);
    sb_cleanup(sb_freep) char *remedy = bounded(line->remedy);
    sb_cleanup(json_decrefp) json_t *object =
        json_pack("{s:s,s:s,s:s,s:s*,s:s*}", "check", check, "name", name, "health",
                  sb_health_name((int)line->health), "text", said, "remedy", remedy);
    sb_cleanup(sb_freep) char *text = object ? sb_json_text(object) : NULL;
    if (!text || printf("%s\n", text) < 0 || fflush(stdout) != 0)
        *failed = true;
}

static json_t *read_known(void)
{
    const struct sb_json_limits limits = { .bytes = KNOWN_MAX };
    struct sb_str text = { 0 };
    json_t *known = NULL;
    char buffer[4096];
    for (ssize_t n; text.length <= KNOWN_MAX && (n = read(STDIN_FILENO, buffer, sizeof(buffer)));) {
        if (n < 0 && errno != EINTR)
            break;
        sb_str_add_bytes(&text, buffer, n > 0 ? (size_t)n : 0);
    }
    if (text.broken || sb_json_parse(sb_str_get(&text), text.length, &limits, &known, NULL) < 0)
        known = NULL;
    sb_str_done(&text);
    return known;
}

int sb_doctor_main(struct sb_doctor_parts *parts, bool known)
{
    sb_cleanup(json_decrefp) json_t *told = known ? read_known() : NULL;
    bool failed = known && !json_is_object(told);
    parts->known = told;
    parts->tell = print;
    parts->arg = &failed;
    sb_doctor_run(parts);
    return failed;
}
