/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/reach.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

#include "bridge/base/str.h"

#define ADDRESS_MAX 64 /* "ffff:...:255.255.255.255%interface" */

SB_DEFINE_CLEANUP(SSL *, SSL_free)
SB_DEFINE_CLEANUP(SSL_CTX *, SSL_CTX_free)
SB_DEFINE_CLEANUP(struct addrinfo *, freeaddrinfo)

struct attempt {
    const struct sb_reach *reach;
    struct sb_exam *exam;
    int64_t until;
    char address[ADDRESS_MAX];
};

void sb_reach_done(struct sb_reach *reach)
{
    free(reach->host);
    free(reach->port);
    free(reach->ca_file);
    free(reach->cert_file);
    free(reach->key_file);
    *reach = (struct sb_reach){ 0 };
}

static int64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* 0, or -ETIMEDOUT. */
static int await(int fd, short events, int64_t until)
{
    for (;;) {
        struct pollfd waiting = { .fd = fd, .events = events };
        int64_t left = until - now_ms();
        int n = left > 0 ? poll(&waiting, 1, (int)left) : 0;
        if (n > 0)
            return 0;
        if (n == 0)
            return -ETIMEDOUT;
        if (errno != EINTR)
            return -errno;
    }
}

/* ---- TCP ---- */

static const char *remedy_of(int error)
{
    switch (-error) {
    case ECONNREFUSED:
        return "nobody listens there: is the server running, is the port right (uri)?";
    case ETIMEDOUT:
        return "no answer: is the port right (uri), does a firewall drop it?";
    case ENETUNREACH:
    case EHOSTUNREACH:
        return "there is no way to it: is the network up, is there a route (`ip route`)?";
    default:
        return "see the system's network settings";
    }
}

static int dial(const struct addrinfo *at, int64_t until, int *ret)
{
    int fd = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int error = 0;
    socklen_t size = sizeof(error);
    if (fd < 0)
        return -errno;
    bool begun = connect(fd, at->ai_addr, at->ai_addrlen) == 0 || errno == EINPROGRESS;
    int r = begun ? await(fd, POLLOUT, until) : -errno;
    if (r == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        error = errno;
    r = r < 0 ? r : -error;
    if (r == 0)
        *ret = fd;
    else
        (void)close(fd);
    return r;
}

/* Each address gets its share of the time that is left. */
static int dial_any(struct attempt *attempt, const struct addrinfo *list, int *ret)
{
    int r = -EHOSTUNREACH, count = 0;
    for (const struct addrinfo *at = list; at; at = at->ai_next)
        count++;
    for (const struct addrinfo *at = list; at; at = at->ai_next, count--) {
        int64_t now = now_ms();
        (void)getnameinfo(at->ai_addr, at->ai_addrlen, attempt->address, ADDRESS_MAX, NULL, 0,
                          NI_NUMERICHOST);
        r = dial(at, now + (attempt->until - now) / count, ret);
        if (r == 0)
            break;
    }
    return r;
}

static int connect_to(struct attempt *attempt, int *ret)
{
    const struct sb_reach *reach = attempt->reach;
    sb_cleanup(freeaddrinfop) struct addrinfo *list = NULL;
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
    int r = getaddrinfo(reach->host, reach->port, &hints, &list);
    if (r != 0) {
        sb_exam_say(attempt->exam, SB_HEALTH_FAILED,
                    "check the name (uri) and the name servers (/etc/resolv.conf)",
                    "the host '%s' cannot be found: %s", reach->host,
                    r == EAI_SYSTEM ? strerror(errno) : gai_strerror(r));
        return -EHOSTUNREACH;
    }
    r = dial_any(attempt, list, ret);
    if (r < 0)
        sb_exam_say(attempt->exam, SB_HEALTH_FAILED, remedy_of(r),
                    "%s port %s (%s) cannot be connected: %s", reach->host, reach->port,
                    attempt->address, strerror(-r));
    return r;
}

/* ---- TLS ---- */

static char *last_reason(void)
{
    unsigned long error = ERR_peek_last_error();
    const char *reason = error ? ERR_reason_error_string(error) : NULL;
    return strdup(reason ? reason : "no reason given");
}

static int bad_file(struct attempt *attempt, const char *key, const char *path)
{
    sb_cleanup(sb_freep) char *reason =
        access(path, R_OK) < 0 ? strdup(strerror(errno)) : last_reason();
    sb_exam_say(attempt->exam, SB_HEALTH_FAILED,
                "it must be a PEM file that the daemon's user may read", "%s %s: %s", key, path,
                reason ? reason : "?");
    return -EINVAL;
}

static int load_files(struct attempt *attempt, SSL_CTX *context)
{
    const struct sb_reach *reach = attempt->reach;
    if (reach->ca_file && SSL_CTX_load_verify_file(context, reach->ca_file) != 1)
        return bad_file(attempt, "ca_file", reach->ca_file);
    if (!reach->ca_file && SSL_CTX_set_default_verify_paths(context) != 1)
        return -ENOMEM;
    if (reach->cert_file && SSL_CTX_use_certificate_chain_file(context, reach->cert_file) != 1)
        return bad_file(attempt, "cert_file", reach->cert_file);
    if (reach->key_file &&
        SSL_CTX_use_PrivateKey_file(context, reach->key_file, SSL_FILETYPE_PEM) != 1)
        return bad_file(attempt, "key_file", reach->key_file);
    return 0;
}

/* The name or address that the certificate must have. */
static bool expect_name(SSL *ssl, const char *host)
{
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1)
        return true;
    return SSL_set_tlsext_host_name(ssl, host) == 1 && SSL_set1_host(ssl, host) == 1;
}

static int shake_hands(struct attempt *attempt, SSL *ssl, int fd)
{
    for (;;) {
        ERR_clear_error();
        int done = SSL_connect(ssl);
        if (done == 1)
            return 0;
        int wanted = SSL_get_error(ssl, done);
        if (wanted != SSL_ERROR_WANT_READ && wanted != SSL_ERROR_WANT_WRITE)
            return -EPROTO;
        int r = await(fd, wanted == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, attempt->until);
        if (r < 0)
            return r;
    }
}

static void explain(struct attempt *attempt, const SSL *ssl, int error)
{
    const struct sb_reach *reach = attempt->reach;
    long verdict = SSL_get_verify_result(ssl);
    sb_cleanup(sb_freep) char *reason = last_reason();
    if (error == -ETIMEDOUT)
        sb_exam_say(attempt->exam, SB_HEALTH_FAILED, "does the server speak TLS on this port?",
                    "%s port %s: connected, but no TLS handshake in time", reach->host,
                    reach->port);
    else if (reach->verify && verdict != X509_V_OK)
        sb_exam_say(attempt->exam, SB_HEALTH_FAILED,
                    "check ca_file, the host in the uri, and this machine's clock",
                    "%s port %s: its certificate is not accepted: %s", reach->host, reach->port,
                    X509_verify_cert_error_string(verdict));
    else
        sb_exam_say(attempt->exam, SB_HEALTH_FAILED,
                    "is it a TLS port, and does the server want a client certificate "
                    "(cert_file)?",
                    "%s port %s: the TLS handshake fails: %s", reach->host, reach->port,
                    reason ? reason : "?");
}

static int secure(struct attempt *attempt, int fd, char **ret_version)
{
    const struct sb_reach *reach = attempt->reach;
    sb_cleanup(SSL_CTX_freep) SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (!context)
        return -ENOMEM;
    int r = load_files(attempt, context);
    if (r < 0)
        return r;
    SSL_CTX_set_verify(context, reach->verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    sb_cleanup(SSL_freep) SSL *ssl = SSL_new(context);
    if (!ssl || !expect_name(ssl, reach->host) || SSL_set_fd(ssl, fd) != 1)
        return -ENOMEM;
    r = shake_hands(attempt, ssl, fd);
    if (r < 0)
        explain(attempt, ssl, r);
    else
        *ret_version = strdup(SSL_get_version(ssl));
    return r;
}

void sb_reach_try(const struct sb_reach *reach, int64_t wait, struct sb_exam *exam)
{
    struct attempt attempt = { .reach = reach, .exam = exam, .until = now_ms() + wait };
    sb_cleanup(sb_closep) int fd = -1;
    sb_cleanup(sb_freep) char *version = NULL;
    size_t before = exam->count;
    int r = connect_to(&attempt, &fd);
    if (r == 0 && reach->tls)
        r = secure(&attempt, fd, &version);
    if (r < 0 && exam->count == before)
        sb_exam_say(exam, SB_HEALTH_FAILED, NULL, "%s port %s: %s", reach->host, reach->port,
                    strerror(-r));
    if (r == 0)
        sb_exam_say(exam, SB_HEALTH_OK, NULL, "%s port %s (%s) answers%s%s", reach->host,
                    reach->port, attempt.address, version ? ", " : "", version ? version : "");
}
