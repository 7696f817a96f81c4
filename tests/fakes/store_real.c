/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fakes/store_real.h"

#include <errno.h>

#include "tests/fakes/loop_sim.h"

struct real {
    struct sb_loop *loop;
    const struct sb_backend_ops *ops;
    void *backend;
};

static void commit(void *backend, struct sb_batch *batch)
{
    struct real *real = backend;
    real->ops->commit(real->backend, batch);
    sb_sim_await_post(real->loop);
}

static int query(void *backend, const struct sb_query *wanted, sb_row_fn fn, void *arg)
{
    struct real *real = backend;
    return real->ops->query(real->backend, wanted, fn, arg);
}

static int count(void *backend, const struct sb_query *wanted, int64_t *ret)
{
    struct real *real = backend;
    return real->ops->count(real->backend, wanted, ret);
}

static int measure(void *backend, struct sb_store_size *ret)
{
    struct real *real = backend;
    return real->ops->measure(real->backend, ret);
}

static void attach(void *backend, struct sb_store *store)
{
    struct real *real = backend;
    real->ops->attach(real->backend, store);
}

static void release(void *backend)
{
    struct real *real = backend;
    real->ops->close(real->backend);
    free(real);
}

int sb_store_real_open(struct sb_loop *loop, const char *path,
                       const struct sb_backend_ops **ret_ops, void **ret_backend, char **ret_error)
{
    static const struct sb_backend_ops ops = { .commit = commit,
                                               .query = query,
                                               .count = count,
                                               .measure = measure,
                                               .attach = attach,
                                               .close = release };
    struct real *real = calloc(1, sizeof(*real));
    if (!real)
        return -ENOMEM;
    real->loop = loop;
    int r = sb_sqlite_open(loop, path, &real->ops, &real->backend, ret_error);
    if (r < 0) {
        free(real);
        return r;
    }
    *ret_ops = &ops;
    *ret_backend = real;
    return 0;
}
