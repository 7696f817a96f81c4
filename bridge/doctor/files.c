/* SPDX-License-Identifier: Apache-2.0 */
/* The checks of what people wrote: configuration, mappings, devices. */
#include <errno.h>
#include <sys/stat.h>

#include "bridge/base/str.h"
#include "bridge/check.h"
#include "bridge/doctor/parts.h"
#include "bridge/mapping/type.h"

enum part { CONFIG, DEVICES, MAPPINGS };

static bool within(const char *file, const char *directory)
{
    size_t n = directory ? strlen(directory) : 0;
    return file && n > 0 && strncmp(file, directory, n) == 0 && file[n] == '/';
}

static enum part part_of(const struct sb_doctor *doctor, const struct sb_diag *finding)
{
    if (!finding->file || strcmp(finding->file, doctor->parts->config) == 0)
        return CONFIG;
    return within(finding->file, doctor->config ? doctor->config->devices : NULL) ? DEVICES
                                                                                  : MAPPINGS;
}

/* How many there were. */
static size_t say_findings(const struct sb_doctor *doctor, enum part part, const char *remedy,
                           struct sb_exam *exam)
{
    size_t count = 0;
    for (size_t i = 0; i < doctor->findings.count; i++) {
        const struct sb_diag *finding = &doctor->findings.list[i];
        if (part_of(doctor, finding) != part)
            continue;
        count++;
        sb_exam_say(exam, SB_HEALTH_FAILED, remedy, "%s:%d:%d: %s",
                    finding->file ? finding->file : doctor->parts->config, finding->line,
                    finding->column, finding->text);
    }
    return count;
}

/* ---- the configuration ---- */

static void look_at_age(const struct sb_doctor *doctor, struct sb_exam *exam)
{
    struct stat st;
    int64_t started = sb_json_int(doctor->parts->known, "started", 0);
    if (started <= 0 || stat(doctor->parts->config, &st) < 0)
        return;
    if ((int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000 > started)
        sb_exam_say(exam, SB_HEALTH_WARNING,
                    "restart the daemon, so that it works with what is checked here",
                    "%s was changed after the daemon had read it", doctor->parts->config);
}

static void cannot_read(struct sb_doctor *doctor, int error, struct sb_exam *exam)
{
    if (say_findings(doctor, CONFIG, "correct it; nothing else can be checked before", exam) == 0)
        sb_exam_say(exam, SB_HEALTH_FAILED, NULL, "%s: %s", doctor->parts->config,
                    strerror(-error));
}

void sb_doctor_config(struct sb_doctor *doctor)
{
    struct sb_exam exam = { 0 };
    int r = sb_config_load(doctor->parts->config, &doctor->config, &doctor->findings);
    if (r < 0) {
        cannot_read(doctor, r, &exam);
        sb_doctor_tell(doctor, "", &exam);
        return;
    }
    r = sb_check_all(doctor->config, doctor->parts->adapters, &doctor->findings);
    if (r < 0 && doctor->findings.total == 0)
        sb_exam_say(&exam, SB_HEALTH_FAILED, NULL, "the check ended early: %s", strerror(-r));
    (void)say_findings(doctor, CONFIG, "correct it, then restart the daemon", &exam);
    look_at_age(doctor, &exam);
    if (exam.count == 0)
        sb_exam_say(&exam, SB_HEALTH_OK, NULL, "%s: %zu buses, %zu links", doctor->parts->config,
                    doctor->config->buses.count, doctor->config->links.count);
    sb_doctor_tell(doctor, "", &exam);
}

/* ---- what it leads to ---- */

static const char again[] = "correct it, then `southbridgectl reload`";

void sb_doctor_mappings(struct sb_doctor *doctor)
{
    struct sb_exam exam = { 0 };
    struct sb_diags ignored = { 0 }; /* they are among the findings */
    sb_cleanup(sb_types_freep) struct sb_types *types = NULL;
    size_t count = 0;
    if (say_findings(doctor, MAPPINGS, again, &exam) == 0) {
        int r = sb_types_load(&doctor->config->mappings, doctor->parts->adapters->drivers, &types,
                              &ignored);
        while (r >= 0 && sb_types_at(types, count))
            count++;
        sb_diags_done(&ignored);
        sb_exam_say(&exam, count ? SB_HEALTH_OK : SB_HEALTH_WARNING,
                    count ? NULL : "name the directories that have devices/*.yaml (mappings)",
                    "%zu device types", count);
    }
    sb_doctor_tell(doctor, "", &exam);
}

void sb_doctor_devices(struct sb_doctor *doctor)
{
    struct sb_exam exam = { 0 };
    struct sb_diags ignored = { 0 };
    sb_cleanup(json_decrefp) json_t *specs = NULL;
    if (say_findings(doctor, DEVICES, again, &exam) == 0) {
        (void)!sb_devices_load(doctor->config->devices, &specs, &ignored);
        sb_diags_done(&ignored);
        sb_exam_say(&exam, SB_HEALTH_OK, NULL, "%zu devices declared in %s", json_array_size(specs),
                    doctor->config->devices);
    }
    sb_doctor_tell(doctor, "", &exam);
}
