/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Properties as settings of the device, actions as requests of its vendor, factory reset.
 */
#pragma once

#include "adapters/devices/smp/talk.h"

enum sb_cause sb_smp_read(struct sb_smp *smp);
enum sb_cause sb_smp_write(struct sb_smp *smp); /* WRITE; and CONFIGURE, which also saves */
enum sb_cause sb_smp_invoke(struct sb_smp *smp);
enum sb_cause sb_smp_factory_reset(struct sb_smp *smp);
