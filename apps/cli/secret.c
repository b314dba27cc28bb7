#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "keys.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"

#define FLAG_MAX 48

static const char *prefixed(const cli_t *cli, const char *prefix, const char *name) {
    char flag[FLAG_MAX];
    snprintf(flag, sizeof flag, "%s%s", prefix, name);
    return cli_flag(cli, flag, NULL);
}

static void erase_character(secret_t *line) {
    while (line->len && (line->b[line->len - 1] & 0xc0) == 0x80) line->len--;
    if (line->len) line->len--;
}

/* One line, without its end. Keys that a terminal itself would handle come as characters. */
static rdg_err_t read_line(int tty, secret_t *out) {
    enum { CTRL_C = 3, CTRL_D = 4, BACKSPACE = 8, CTRL_U = 21, DELETE = 127 };
    for (out->len = 0;;) {
        uint8_t c = 0;
        ssize_t n = read(tty, &c, 1);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0 || c == CTRL_C || (c == CTRL_D && out->len == 0))
            return rdg_fail(RDG_E_INVALID, "cancelled");
        if (c == '\n' || c == '\r') return RDG_OK;
        if (c == BACKSPACE || c == DELETE)
            erase_character(out);
        else if (c == CTRL_U)
            out->len = 0;
        else if (out->len == sizeof out->b)
            return rdg_fail(RDG_E_TOO_LARGE, "longer than %zu bytes", sizeof out->b);
        else
            out->b[out->len++] = c;
    }
}

/* Signals wait, from the keyboard and else, so that the echo always comes back. */
static rdg_err_t ask_at(int tty, const char *prompt, secret_t *out) {
    struct termios before, quiet;
    sigset_t all, old;
    if (tcgetattr(tty, &before) != 0) return rdg_fail_errno(errno, "the terminal");
    quiet = before;
    quiet.c_lflag &= (tcflag_t) ~(ECHO | ECHONL | ICANON | ISIG);
    quiet.c_cc[VMIN] = 1, quiet.c_cc[VTIME] = 0;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &old);
    rdg_err_t err = RDG_OK;
    if (tcsetattr(tty, TCSAFLUSH, &quiet) != 0) err = rdg_fail_errno(errno, "the terminal");
    if (err == RDG_OK) err = rdg_write_all(tty, rdg_bytes_str(prompt));
    if (err == RDG_OK) err = read_line(tty, out);
    tcsetattr(tty, TCSAFLUSH, &before);
    (void)rdg_write_all(tty, rdg_bytes_str("\n"));
    sigprocmask(SIG_SETMASK, &old, NULL);
    return err;
}

static rdg_err_t ask(const char *prefix, const char *of, bool twice, secret_t *out) {
    char prompt[512];
    secret_t again;
    int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (tty < 0)
        return rdg_fail(RDG_E_UNAUTHENTICATED,
                        "a passphrase for %s is needed and there is no terminal to ask at: give "
                        "--%spassphrase-file FILE or --%spassphrase-fd N",
                        of, prefix, prefix);
    snprintf(prompt, sizeof prompt, "%s for %s: ", twice ? "New passphrase" : "Passphrase", of);
    rdg_err_t err = ask_at(tty, prompt, out);
    if (err == RDG_OK && twice) {
        err = ask_at(tty, "Once more: ", &again);
        if (err == RDG_OK && !rdg_bytes_equal(rdg_bytes(out->b, out->len), rdg_bytes(again.b, again.len)))
            err = rdg_fail(RDG_E_INVALID, "the two are not the same: nothing was written");
        rdg_secure_zero(&again, sizeof again);
    }
    close(tty);
    return rdg_fail_in(err, "passphrase");
}

rdg_err_t cli_passphrase(const cli_t *cli, const char *prefix, const char *of, bool twice, secret_t *out) {
    const char *file = prefixed(cli, prefix, "passphrase-file"), *fd = prefixed(cli, prefix, "passphrase-fd");
    char flag[FLAG_MAX];
    uint64_t number = 0;
    if (file && fd)
        return rdg_fail(RDG_E_INVALID, "give --%spassphrase-file or --%spassphrase-fd, not both", prefix,
                        prefix);
    if (file) return rdg_keyfile_read_passphrase(file, out->b, &out->len);
    if (!fd) return ask(prefix, of, twice, out);
    snprintf(flag, sizeof flag, "%spassphrase-fd", prefix);
    RDG_TRY(cli_number(cli, flag, 0, &number));
    if (number > INT32_MAX)
        return rdg_fail(RDG_E_INVALID, "--%s: %llu is no descriptor", flag, (unsigned long long)number);
    return rdg_keyfile_read_passphrase_fd((int)number, out->b, &out->len);
}

/* The whole file: a credential is bytes, not a line. */
rdg_err_t cli_credential(const cli_t *cli, const char *prefix, const char *name, secret_t *out) {
    const char *file = prefixed(cli, prefix, "credential-file");
    uint8_t text[RDG_KEYFILE_MAX];
    size_t len;
    if (!file) return rdg_keyfile_read_credential(name, out->b, &out->len);
    RDG_TRY(rdg_keyfile_read(file, text, &len));
    rdg_err_t err = RDG_OK;
    if (len > sizeof out->b)
        err = rdg_fail(RDG_E_TOO_LARGE, "%s: %zu bytes, at most %zu", file, len, sizeof out->b);
    else
        memcpy(out->b, text, out->len = len);
    rdg_secure_zero(text, sizeof text);
    return err;
}
