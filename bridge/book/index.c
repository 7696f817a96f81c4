/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/base/str.h"
#include "bridge/book/parts.h"

struct device_tasks {
    struct sb_task **list;
    size_t count;
};

struct origin_tasks {
    size_t open;
};

/* ---- filing ---- */

/* There are as many as links. */
static int count_origin(struct sb_book *book, const char *origin)
{
    struct origin_tasks *tasks = sb_map_get(&book->origins, origin);
    if (!tasks) {
        tasks = calloc(1, sizeof(*tasks));
        if (!tasks || sb_map_set(&book->origins, origin, tasks) < 0) {
            free(tasks);
            return -ENOMEM;
        }
    }
    tasks->open++;
    return 0;
}

size_t sb_book_open_of(const struct sb_book *book, const char *origin)
{
    const struct origin_tasks *tasks = sb_map_get(&book->origins, origin);
    return tasks ? tasks->open : 0;
}

static int append(void *list_slot, size_t *count, size_t *room, void *item)
{
    void ***list = list_slot;
    if (*count == *room) {
        size_t wanted = *room ? *room * 2 : 16;
        void **grown = reallocarray(*list, wanted, sizeof(**list));
        if (!grown)
            return -ENOMEM;
        *list = grown;
        *room = wanted;
    }
    (*list)[(*count)++] = item;
    return 0;
}

static int index_device(struct sb_book *book, struct sb_task *task)
{
    struct device_tasks *tasks = sb_map_get(&book->devices, task->device);
    if (!tasks) {
        tasks = calloc(1, sizeof(*tasks));
        if (!tasks || sb_map_set(&book->devices, task->device, tasks) < 0) {
            free(tasks);
            return -ENOMEM;
        }
    }
    struct sb_task **grown = reallocarray(tasks->list, tasks->count + 1, sizeof(struct sb_task *));
    if (!grown)
        return -ENOMEM;
    tasks->list = grown;
    tasks->list[tasks->count++] = task;
    return 0;
}

int sb_book_index_task(struct sb_book *book, struct sb_task *task)
{
    if (sb_task_state_is_final(task->state))
        return 0;
    int r = count_origin(book, task->job->origin);
    if (r >= 0)
        r = append(&book->open, &book->open_count, &book->open_room, task);
    return r < 0 ? r : index_device(book, task);
}

void sb_book_unindex(struct sb_book *book, const struct sb_task *task)
{
    struct origin_tasks *origin = sb_map_get(&book->origins, task->job->origin);
    if (origin && origin->open)
        origin->open--;

    struct device_tasks *tasks = sb_map_get(&book->devices, task->device);
    for (size_t i = 0; tasks && i < tasks->count; i++) {
        if (tasks->list[i] != task)
            continue;
        memmove(&tasks->list[i], &tasks->list[i + 1],
                (tasks->count - i - 1) * sizeof(struct sb_task *));
        tasks->count--;
        break;
    }
    if (tasks && tasks->count == 0) {
        sb_map_take(&book->devices, task->device);
        free(tasks->list);
        free(tasks);
    }
}

/* A job that is taken up again has an old number: the list stays in order. */
int sb_book_index_job(struct sb_book *book, struct sb_job *job)
{
    int r = append(&book->jobs, &book->job_count, &book->job_room, job);
    if (r < 0)
        return r;
    size_t at = book->job_count - 1;
    for (; at > 0 && book->jobs[at - 1]->id > job->id; at--)
        book->jobs[at] = book->jobs[at - 1];
    book->jobs[at] = job;
    return 0;
}

/* ---- finding ---- */

struct sb_job *sb_book_job(struct sb_book *book, int64_t id)
{
    size_t low = 0, high = book->job_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (book->jobs[middle]->id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < book->job_count && book->jobs[low]->id == id ? book->jobs[low] : NULL;
}

struct sb_job *sb_book_recent(struct sb_book *book, int64_t id)
{
    return sb_leaving_find(&book->leaving, id);
}

struct sb_job *sb_book_recent_same(struct sb_book *book, const char *origin, const char *key)
{
    return sb_leaving_same(&book->leaving, origin, key);
}

/* Lists of tasks are in order of their numbers. */
static struct sb_task *find_task(struct sb_task *const *list, size_t count, int64_t id)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (list[middle]->id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && list[low]->id == id ? list[low] : NULL;
}

struct sb_task *sb_book_task(struct sb_book *book, int64_t id)
{
    struct sb_task *task = find_task(book->open, book->open_count, id);
    for (size_t j = 0; !task && j < book->job_count; j++) /* one that is final */
        task = find_task(book->jobs[j]->tasks, book->jobs[j]->task_count, id);
    return task;
}

uint64_t sb_book_ended(const struct sb_book *book)
{
    return book->ended;
}

size_t sb_book_jobs(const struct sb_book *book)
{
    return book->job_count;
}

struct sb_job *sb_book_job_at(struct sb_book *book, size_t index)
{
    return index < book->job_count ? book->jobs[index] : NULL;
}

size_t sb_book_open_tasks(const struct sb_book *book)
{
    return book->open_count;
}

struct sb_task *sb_book_open_at(struct sb_book *book, size_t index)
{
    return index < book->open_count ? book->open[index] : NULL;
}

struct sb_task *sb_book_of_device(struct sb_book *book, const char *device,
                                  const struct sb_task *previous)
{
    const struct device_tasks *tasks = sb_map_get(&book->devices, device);
    bool past = previous == NULL;
    for (size_t i = 0; tasks && i < tasks->count; i++) {
        struct sb_task *task = tasks->list[i];
        if (past && !sb_task_state_is_final(task->state))
            return task;
        past |= task == previous;
    }
    return NULL;
}

struct sb_job *sb_book_same(struct sb_book *book, const char *origin, const char *key)
{
    for (size_t i = 0; i < book->job_count; i++) {
        struct sb_job *job = book->jobs[i];
        if (job->state != SB_JOB_DONE && sb_streq(job->key, key) && sb_streq(job->origin, origin))
            return job;
    }
    return NULL;
}

void sb_book_index_done(struct sb_book *book)
{
    size_t cursor = 0;
    for (struct device_tasks *tasks; (tasks = sb_map_next(&book->devices, &cursor, NULL));) {
        free(tasks->list);
        free(tasks);
    }
    sb_map_done(&book->devices);
    cursor = 0;
    for (void *origin; (origin = sb_map_next(&book->origins, &cursor, NULL));)
        free(origin);
    sb_map_done(&book->origins);
    free(book->jobs);
    free(book->open);
}
