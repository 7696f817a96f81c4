/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A daemon but for its process: the real loop, the real core and its control socket; behind them
 * scripted devices, a shelf of images and a store in memory (or SQLite in a directory of its own).
 * Clients are in the same thread: the loop runs only while one of them waits, with a deadline.
 */
#pragma once

#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "bridge/control/control.h"
#include "tests/fakes/bench.h"
#include "tests/fakes/cloud.h"
#include "tests/fakes/shelf.h"
#include "tests/fakes/store_mem.h"
#include "tests/test.h"

struct client {
    int fd; /* -1: closed */
    struct sb_str in;
    bool ended; /* the daemon has hung up */
};

struct world {
    const struct sb_adapters *adapters;
    char *directory, *socket, *program; /* program: "doctor" in the directory */
    struct sb_config *config;
    struct sb_store_mem *disk; /* NULL: SQLite */
    struct sb_loop *loop;
    struct sb_core *core;
    struct sb_control *control;
    struct client client; /* for ask() */
};

/* Devices a, b (one-step), c (two-step) in files; link "north"; all of them have answered. */
void world_new(struct world *world, bool sqlite);
/* With other adapters, and devices that `write` declares; `more` goes to the configuration. */
void world_new_with(struct world *world, const struct sb_adapters *adapters,
                    void (*write)(const struct world *world), const char *more);
void world_done(struct world *world);
void world_off(struct world *world); /* in order; the store's memory stays */
void world_on(struct world *world);
void world_write(const struct world *world, const char *name, const char *text);

/* Runs the loop until it is so; fails the test after 20 s. */
typedef bool (*condition_fn)(void *arg);
void world_until(struct world *world, condition_fn condition, void *arg);
void world_turns(struct world *world, int turns); /* lets what can happen happen */

void client_open(const struct world *world, struct client *client);
void client_close(struct client *client);
/* What the daemon does not take at once is sent while the loop runs. False: it has hung up. */
bool client_send(struct world *world, struct client *client, const void *bytes, size_t n);
json_t *client_line(struct world *world, struct client *client); /* NULL: it has hung up */
bool client_has_line(struct client *client);
void client_say(struct world *world, struct client *client, const char *verb, const char *args);

/* One request and its answer; args as JSON with ' for ", or NULL. */
json_t *ask(struct world *world, const char *verb, const char *args);
/* ...that succeeds: its data, new reference. */
json_t *ask_ok(struct world *world, const char *verb, const char *args);
/* ...that is refused: `error`, with `part` in its text. */
void ask_refused(struct world *world, const char *verb, const char *args, const char *error,
                 const char *part);
/* Waits until the job is done; its data, new reference. */
json_t *wait_job(struct world *world, int64_t id);
