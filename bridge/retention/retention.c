/* SPDX-License-Identifier: Apache-2.0 */
/* When there is a pass, and what follows what in it. */
#include "bridge/retention/retention.h"

#include "bridge/base/log.h"
#include "bridge/base/map.h"
#include "bridge/base/time.h"
#include "bridge/retention/parts.h"

#define EVERY    (6 * SB_HOUR)
#define CROWDED  (10 * SB_MINUTE) /* between passes when room is short */
#define AGAIN    (10 * SB_MINUTE)
#define BURST    64      /* jobs that end, or records beyond the limit, bring a pass at once */
#define SHARE    16      /* of what has ended goes at a time when the store takes too much */
#define JUMP     SB_HOUR /* of the clock */
#define DISTRUST SB_DAY  /* after one */
#define PACKAGES 16      /* that a step removes */

enum stage { JOBS, RECORDS, PACKAGE_RECORDS, PARCELS, REST };

/* ---- the clock ---- */

static void look_at_clock(struct sb_retention *retention)
{
    int64_t now = sb_loop_now(retention->parts.loop);
    int64_t ahead;
    retention->wall = sb_loop_wall(retention->parts.loop);
    retention->ages = false;
    if (!retention->wall)
        return;
    ahead = retention->wall - now;
    if (retention->ahead && (ahead > retention->ahead + JUMP || ahead < retention->ahead - JUMP))
        retention->steady = now + DISTRUST;
    retention->ahead = ahead;
    retention->ages = now >= retention->steady;
}

static int64_t before(const struct sb_retention *retention, int64_t age)
{
    return retention->ages ? SB_MAX(retention->wall - age, INT64_C(0)) : 0;
}

/* ---- what goes ---- */

static int trim_records(struct sb_retention *retention, bool *ret_more)
{
    size_t n;
    int r =
        sb_audit_trim(retention->parts.audit, retention->audit_excess,
                      before(retention, retention->parts.limits.audit_age), retention->wall, &n);
    if (r < 0)
        return r;
    retention->audit_excess -= (int64_t)n;
    retention->removed += n;
    *ret_more = n >= SB_AUDIT_TRIM;
    return 0;
}

/* Packages that open jobs name, and what is staged. */
static int collect_needed(const struct sb_retention *retention, struct sb_map *ret)
{
    const struct sb_job *job;
    const struct sb_device *device;
    int r = 0;
    for (size_t i = 0; r >= 0 && (job = sb_book_job_at(retention->parts.book, i)); i++)
        if (job->package)
            r = sb_map_set(ret, job->package, ret);
    for (size_t i = 0; r >= 0 && (device = sb_registry_at(retention->parts.registry, i)); i++)
        if (device->staged.package)
            r = sb_map_set(ret, device->staged.package, ret);
    return r;
}

static bool is_needed(void *arg, const struct sb_package *package)
{
    return sb_map_get(arg, package->id) != NULL;
}

static bool have_many(const struct sb_retention *retention, const struct sb_packages_bounds *bounds)
{
    const struct sb_package *package;
    size_t n = 0;
    for (; (package = sb_packages_at(retention->parts.packages, n)); n++)
        if (package->door && package->used < bounds->before)
            return true;
    return n > bounds->keep;
}

static int trim_packages(struct sb_retention *retention, bool *ret_more)
{
    sb_cleanup(sb_map_done) struct sb_map needed = { 0 };
    const struct sb_packages_bounds bounds = {
        .keep = (size_t)retention->parts.limits.package_count,
        .before = before(retention, retention->parts.limits.package_age),
        .most = PACKAGES,
    };
    if (!have_many(retention, &bounds))
        return 0;
    int r = collect_needed(retention, &needed);
    if (r >= 0)
        *ret_more =
            sb_packages_trim(retention->parts.packages, &bounds, is_needed, &needed) == PACKAGES;
    return r;
}

static int sweep_parcels(struct sb_retention *retention, bool *ret_more)
{
    if (retention->ages)
        *ret_more =
            sb_outbox_sweep(retention->parts.outbox, SB_RETENTION_ROWS) == SB_RETENTION_ROWS;
    return 0;
}

static int (*const stages[REST])(struct sb_retention *retention, bool *ret_more) = {
    [JOBS] = sb_retention_jobs,
    [RECORDS] = trim_records,
    [PACKAGE_RECORDS] = trim_packages,
    [PARCELS] = sweep_parcels,
};

/* ---- a pass ---- */

static int begin(struct sb_retention *retention)
{
    const struct sb_retention_parts *parts = &retention->parts;
    const struct sb_retention_limits *limits = &parts->limits;
    const struct sb_query ended = { .table = SB_TABLE_JOB, .state = SB_JOB_DONE };
    int64_t records = sb_audit_count(parts->audit);
    struct sb_store_size size;
    int r = sb_store_measure(parts->store, &size);
    if (r == 0)
        r = sb_store_count(parts->store, &ended, &retention->jobs);
    if (r < 0)
        return r;
    look_at_clock(retention);
    retention->due = false;
    retention->seen = sb_book_ended(parts->book);
    retention->over = size.used > limits->bytes;
    retention->job_excess = retention->jobs - limits->job_count;
    retention->audit_excess = records - limits->audit_count;
    if (retention->over) {
        retention->job_excess = SB_MAX(retention->job_excess, retention->jobs / SHARE + 1);
        retention->audit_excess = SB_MAX(retention->audit_excess, records / SHARE + 1);
    }
    retention->cursor = 0;
    retention->removed = 0;
    retention->stage = JOBS;
    return 0;
}

static void finish(struct sb_retention *retention)
{
    bool crowded = retention->jobs > retention->parts.limits.job_count ||
                   (retention->over && retention->removed == 0);
    retention->due = retention->over && retention->removed > 0;
    if (crowded && !retention->crowded)
        sb_warning(NULL, "retention: the store is full, and nothing in it may go yet; requests "
                         "with ids of their own are refused until their turn comes "
                         "(retention.job_count, retention.bytes, retention.remember)");
    if (!crowded && retention->crowded)
        sb_notice(NULL, "retention: the store has room again");
    retention->crowded = crowded;
    sb_timer_in(retention->timer, crowded ? CROWDED : EVERY);
}

static void put_off(struct sb_retention *retention, int error)
{
    if (error != -EAGAIN) /* that one tells of itself */
        sb_error(NULL, "retention: nothing can be removed now: %s", strerror(-error));
    retention->stage = REST;
    retention->due = false;
    sb_timer_in(retention->timer, AGAIN);
}

static void on_settled(void *arg, int error)
{
    struct sb_retention *retention = arg;
    (void)error; /* the core is made anew */
    retention->settling = false;
    if (retention->stage != REST || retention->due)
        sb_timer_in(retention->timer, 0); /* brings a turn */
}

static bool is_due(const struct sb_retention *retention)
{
    const struct sb_retention_parts *parts = &retention->parts;
    return retention->due || sb_book_ended(parts->book) - retention->seen >= BURST ||
           sb_audit_count(parts->audit) >= parts->limits.audit_count + BURST;
}

void sb_retention_turn(struct sb_retention *retention)
{
    bool more = false;
    int r = 0;
    if (retention->settling || (retention->stage == REST && !is_due(retention)) ||
        !sb_store_ready(retention->parts.store, NULL))
        return;
    if (retention->stage == REST)
        r = begin(retention);
    if (r >= 0)
        r = stages[retention->stage](retention, &more);
    if (r >= 0)
        r = sb_store_then(retention->parts.store, on_settled, retention);
    if (r < 0) {
        put_off(retention, r);
        return;
    }
    retention->settling = true;
    if (!more && ++retention->stage == REST)
        finish(retention);
}

bool sb_retention_crowded(const struct sb_retention *retention)
{
    return retention->crowded;
}

/* ---- life ---- */

static void on_timer(void *arg)
{
    struct sb_retention *retention = arg;
    retention->due |= retention->stage == REST;
}

int sb_retention_new(const struct sb_retention_parts *parts, struct sb_retention **ret)
{
    sb_cleanup(sb_retention_freep) struct sb_retention *retention = calloc(1, sizeof(*retention));
    if (!retention)
        return -ENOMEM;
    retention->parts = *parts;
    retention->stage = REST;
    int r = sb_timer_new(parts->loop, on_timer, retention, &retention->timer);
    if (r >= 0)
        r = sb_retention_load(retention);
    if (r < 0)
        return r;
    sb_timer_in(retention->timer, SB_MINUTE); /* the start has other things to do */
    *ret = SB_STEAL(retention);
    return 0;
}

struct sb_retention *sb_retention_free(struct sb_retention *retention)
{
    if (!retention)
        return NULL;
    sb_store_forget(retention->parts.store, on_settled, retention);
    sb_timer_free(retention->timer);
    free(retention);
    return NULL;
}
