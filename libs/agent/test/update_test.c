/* An agent that replaces itself: new ones that are sound, that end, that stay alone, that were damaged, and power cuts
 * on the way. The installed program is this test program, and so are the new ones, with other parts to play. */
#include "ridge/agent/launch.h"
#include "ridge/base/clock.h"
#include "ridge/base/file.h"
#include "ridge/net/http_server.h"
#include "ridge/test.h"
#include "ridge/test_faults.h"
#include "update.h"
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PART "--play-an-agent"
/* So long a trial lasts, or a minute: a sound one is to be heard of however busy the machine is. */
#define TRIAL_ENV "PLAY_TRIAL_MS"

/* --- the parts ---------------------------------------------------------------------------------------------- */

static void answer_health(void *ctx, const rdg_http_request_t *req, rdg_http_response_t *res) {
    (void)ctx, (void)req;
    (void)rdg_http_write(res, "application/json", rdg_bytes_str("{\"connected\":true}"));
}

static void note(const char *dir, const char *what) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/diary", dir);
    FILE *f = fopen(path, "a");
    if (f) {
        fprintf(f, "%s\n", what);
        fclose(f);
    }
}

/* As main() of ridge-agent does, and then what the last byte of the program's file says: 's'ound, 'e'nds, 'a'lone. */
static void play(const char *dir, char **argv) {
    char self[PATH_MAX] = "", part = 'i', path[PATH_MAX], text[128];
    rdg_http_server_t *http = NULL;
    rdg_http_server_options_t o = {0};
    sigset_t signals;
    int number;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    const char *trial_ms = getenv(TRIAL_ENV);
    rdg_agent_launch(dir, argv, trial_ms ? strtoull(trial_ms, NULL, 10) : 60000);
    if (readlink("/proc/self/exe", self, sizeof self - 1) > 0 && strstr(self, "/update/")) {
        FILE *f = fopen(self, "re");
        if (f && fseek(f, -1, SEEK_END) == 0) part = (char)fgetc(f);
        if (f) fclose(f);
    }
    snprintf(text, sizeof text, "%c", part);
    note(dir, text);
    if (part == 'e') _exit(7);
    if (part != 'a' && rdg_http_server_start(&o, answer_health, NULL, &http) == RDG_OK) {
        snprintf(path, sizeof path, "%s/agent.json", dir);
        snprintf(text, sizeof text, "{\"http_url\":\"http://127.0.0.1:%u\",\"pid\":%ld}",
                 (unsigned)rdg_http_server_port(http), (long)getpid());
        (void)rdg_file_replace(path, rdg_bytes_str(text), 0644);
    }
    sigwait(&signals, &number);
    _exit(0);
}

__attribute__((constructor)) static void be_an_agent(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], PART) == 0) play(argv[2], argv);
}

/* --- the device -------------------------------------------------------------------------------------------------- */

static char dir[PATH_MAX - 128], installed[PATH_MAX];

static void copy_program(const char *to, const char *tail) {
    char self[PATH_MAX], command[PATH_MAX * 4];
    CHECK(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
    snprintf(command, sizeof command, "cp %s %s && printf %s >>%s", self, to, tail, to);
    CHECK_EQ(system(command), 0); /* NOLINT: paths of this test */
}

static void device(void) {
    memset(installed, 0, sizeof installed);
    snprintf(dir, sizeof dir, "%s/agent", rdg_test_dir());
    CHECK_OK(rdg_dir_make(dir, 0700));
    CHECK(readlink("/proc/self/exe", installed, sizeof installed - 1) > 0);
}

/* What agent.update leaves for the next launch. */
static void stage(const char *tail, const char *previous, char digest[UPDATE_DIGEST_TEXT]) {
    char new[PATH_MAX], path[PATH_MAX];
    update_state_t s = {.phase = UPDATE_TRYING, .command = "u1"};
    snprintf(new, sizeof new, "%s/new", dir);
    copy_program(new, tail);
    CHECK_OK(update_digest(new, digest));
    CHECK_OK(update_program(dir, digest, path));
    *strrchr(path, '/') = '\0';
    CHECK_OK(rdg_dir_make(path, 0700));
    CHECK_OK(update_program(dir, digest, path));
    CHECK_EQ(rename(new, path), 0);
    memcpy(s.program, digest, sizeof s.program);
    snprintf(s.previous, sizeof s.previous, "%s", previous);
    CHECK_OK(update_digest(installed, s.base));
    CHECK_OK(update_save(dir, &s));
}

static pid_t boot(void) {
    (void)unsetenv(UPDATE_RUNNING_ENV);
    pid_t pid = fork();
    if (pid == 0) {
        execl(installed, installed, PART, dir, (char *)NULL);
        _exit(127);
    }
    return pid;
}

static void shut_down(pid_t pid) {
    int status;
    CHECK_EQ(kill(pid, SIGTERM), 0);
    CHECK_EQ(waitpid(pid, &status, 0), pid);
}

static bool diary_is(const char *want) {
    char path[PATH_MAX];
    rdg_buf_t b;
    snprintf(path, sizeof path, "%s/diary", dir);
    rdg_buf_init(&b, 4096);
    bool same = rdg_file_read(path, &b) == RDG_OK && strcmp(rdg_buf_cstr(&b), want) == 0;
    rdg_buf_fini(&b);
    return same;
}

static void await_diary(const char *want) {
    uint64_t end = rdg_mono_ms(rdg_clock_system()) + 90000;
    while (!diary_is(want)) {
        if (rdg_mono_ms(rdg_clock_system()) > end)
            rdg_test_fail(__FILE__, __LINE__, "the diary never read '%s'", want);
        usleep(10000);
    }
}

TEST(a_sound_new_agent_is_tried_and_stays_also_after_a_restart) {
    char digest[UPDATE_DIGEST_TEXT];
    update_state_t s;
    device();
    stage("s", "", digest);
    pid_t pid = boot();
    await_diary("s\ns\n"); /* on trial; then for good, in the place of the installed one */
    CHECK_OK(update_load(dir, &s));
    CHECK_EQ(s.phase, UPDATE_GOOD);
    CHECK_STR(s.program, digest);
    shut_down(pid);
    pid = boot();
    await_diary("s\ns\ns\n");
    shut_down(pid);
}

TEST(a_new_agent_that_ends_is_tried_three_times_and_given_up) {
    char digest[UPDATE_DIGEST_TEXT], path[PATH_MAX];
    update_state_t s;
    device();
    stage("e", "", digest);
    pid_t pid = boot();
    await_diary("e\ne\ne\ni\n");
    CHECK_OK(update_load(dir, &s));
    CHECK_EQ(s.phase, UPDATE_NONE);
    CHECK_STR(s.failed_command, "u1");
    CHECK(strstr(s.failed_why, "exit status 7"));
    CHECK_OK(update_program(dir, digest, path));
    CHECK(!rdg_file_exists(path));
    shut_down(pid);
}

TEST(a_new_agent_that_stays_alone_gives_way_to_the_one_before_it) {
    char good[UPDATE_DIGEST_TEXT], alone[UPDATE_DIGEST_TEXT];
    update_state_t s;
    device();
    stage("ss", "", good);
    pid_t pid = boot();
    await_diary("s\ns\n");
    shut_down(pid);
    stage("a", good, alone);
    CHECK_EQ(setenv(TRIAL_ENV, "3000", 1), 0);
    pid = boot();
    await_diary("s\ns\na\ns\n");
    CHECK_OK(update_load(dir, &s));
    CHECK_EQ(s.phase, UPDATE_GOOD);
    CHECK_STR(s.program, good);
    CHECK(strstr(s.failed_why, "did not reach its cloud"));
    shut_down(pid);
}

TEST(a_program_that_the_disk_has_damaged_does_not_run) {
    char digest[UPDATE_DIGEST_TEXT], path[PATH_MAX];
    device();
    stage("s", "", digest);
    CHECK_OK(update_program(dir, digest, path));
    FILE *f = fopen(path, "r+");
    CHECK(f && fseek(f, 5000, SEEK_SET) == 0 && fputc('x', f) == 'x' && fputc('y', f) == 'y');
    fclose(f);
    pid_t pid = boot();
    await_diary("i\n");
    shut_down(pid);
}

TEST(a_package_that_brings_another_agent_ends_what_was_launched_in_its_place) {
    char digest[UPDATE_DIGEST_TEXT];
    update_state_t s;
    device();
    stage("s", "", digest);
    CHECK_OK(update_load(dir, &s));
    s.phase = UPDATE_GOOD;
    memset(s.base, '0', 64);
    CHECK_OK(update_save(dir, &s));
    pid_t pid = boot();
    await_diary("i\n");
    shut_down(pid);
}

TEST(power_that_goes_in_every_trial_leads_back_to_the_one_before) {
    char digest[UPDATE_DIGEST_TEXT];
    update_state_t s;
    device();
    stage("a", "", digest);
    for (int k = 1; k <= UPDATE_TRIES; ++k) {
        char want[16] = "";
        for (int i = 0; i < k; ++i) strcat(want, "a\n"); /* NOLINT: it fits */
        pid_t pid = boot();
        await_diary(want);
        CHECK_EQ(kill(pid, SIGKILL), 0);
        CHECK_EQ(waitpid(pid, NULL, 0), pid);
    }
    pid_t pid = boot();
    await_diary("a\na\na\ni\n");
    CHECK_OK(update_load(dir, &s));
    CHECK_STR(s.failed_command, "u1");
    shut_down(pid);
}

/* --- its state ------------------------------------------------------------------------------------------------------ */

static void save_states(const char *where, unsigned char *ack) {
    update_state_t s = {.phase = UPDATE_GOOD,
                        .program = "0000000000000000000000000000000000000000000000000000000000000000"};
    for (unsigned i = 1; i <= 3; ++i) {
        s.tries = i;
        ack[1] = (unsigned char)i;
        if (update_save(where, &s) == RDG_OK) ack[0] = (unsigned char)i;
    }
}

static void check_states(const char *where, unsigned char *ack) {
    update_state_t s;
    CHECK_OK(update_load(where, &s));
    CHECK(s.tries >= ack[0] && s.tries <= ack[1]);
    CHECK(s.phase == UPDATE_GOOD || s.tries == 0);
}

TEST(the_state_of_an_update_survives_a_cut_at_any_write) {
    rdg_test_faults_each(RDG_FAULT_FAIL, RDG_FAULT_CUT_LOST, save_states, check_states);
}
