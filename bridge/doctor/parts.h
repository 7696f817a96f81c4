/* SPDX-License-Identifier: Apache-2.0 */
/* Between the doctor and its checks. */
#pragma once

#include "bridge/config/config.h"
#include "bridge/doctor/doctor.h"

struct sb_doctor {
    const struct sb_doctor_parts *parts;
    const struct sb_doctor_check *check; /* that runs */
    struct sb_config *config;            /* NULL: it cannot be read */
    struct sb_diags findings;            /* of everything it leads to */
};

/* Hands the lines on under the check's name, and empties the exam. */
void sb_doctor_tell(struct sb_doctor *doctor, const char *name, struct sb_exam *exam);

void sb_doctor_daemon(struct sb_doctor *doctor);
void sb_doctor_config(struct sb_doctor *doctor); /* reads it */
void sb_doctor_mappings(struct sb_doctor *doctor);
void sb_doctor_devices(struct sb_doctor *doctor);
void sb_doctor_control(struct sb_doctor *doctor);
void sb_doctor_store(struct sb_doctor *doctor);
void sb_doctor_space(struct sb_doctor *doctor);
void sb_doctor_helper(struct sb_doctor *doctor);
void sb_doctor_clock(struct sb_doctor *doctor);
void sb_doctor_buses(struct sb_doctor *doctor);
void sb_doctor_links(struct sb_doctor *doctor);

/* The process that listens at a control socket; 0: nobody; -errno. */
int sb_doctor_listener(const char *path);
