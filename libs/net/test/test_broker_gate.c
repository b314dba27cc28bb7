/* Who is let in, decided as the plugin decides it, without a broker. */
#include "broker_gate.h"
#include "broker_internal.h"
#include "ridge/base/file.h"
#include "ridge/test.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of the password "correct horse", as mosquitto_passwd 2.0.11 makes it. */
#define SALT "1SIRw5KdiFvVeA6k"
#define HASH "mzutkhM8QASJyqvQHEWo1AQdYlvi+hMyIYHB9nNMg05/vDeiv5lE4z0lMNShGR7FDYV4h5a1SAQ+7auflB+R0g=="
#define RECORD "$7$101$" SALT "$" HASH

static int open_users(broker_files_t *f) {
    memset(f, 0, sizeof *f);
    snprintf(f->users, sizeof f->users, "%s/users", rdg_test_dir());
    snprintf(f->kicks, sizeof f->kicks, "%s/kicks", rdg_test_dir());
    CHECK_OK(broker_users_init(f));
    int fd = open(f->users, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(fd >= 0);
    return fd;
}

static void put(const broker_files_t *f, const char *user, const char *content) {
    char path[640];
    snprintf(path, sizeof path, "%s/%s", f->users, user);
    CHECK_OK(rdg_file_replace(path, rdg_bytes_str(content), 0600));
}

TEST(broker_gate_opens_for_the_password_and_no_other) {
    broker_files_t f;
    bool known = true;
    int users = open_users(&f);
    CHECK_EQ(broker_gate_ask(users, "dev1", "secret"), BROKER_GATE_OUT);
    CHECK_OK(broker_users_set(&f, "dev1", "secret", &known));
    CHECK(!known);
    CHECK_EQ(broker_gate_ask(users, "dev1", "secret"), BROKER_GATE_IN);
    static const char *const wrong[] = {"", "secre", "secret ", "Secret", "secrets", "x", NULL};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; ++i)
        CHECK_EQ(broker_gate_ask(users, "dev1", wrong[i]), BROKER_GATE_OUT);
    CHECK_EQ(broker_gate_ask(users, "dev2", "secret"), BROKER_GATE_OUT);
    CHECK_EQ(broker_gate_ask(users, NULL, "secret"), BROKER_GATE_OUT);
    CHECK_OK(broker_users_set(&f, "dev1", "changed", &known));
    CHECK(known);
    CHECK_EQ(broker_gate_ask(users, "dev1", "secret"), BROKER_GATE_OUT);
    CHECK_EQ(broker_gate_ask(users, "dev1", "changed"), BROKER_GATE_IN);
    CHECK_OK(broker_users_remove(&f, "dev1"));
    CHECK_ERR(broker_users_remove(&f, "dev1"), RDG_E_NOT_FOUND);
    CHECK_EQ(broker_gate_ask(users, "dev1", "changed"), BROKER_GATE_OUT);
    close(users);
}

TEST(broker_gate_takes_passwords_up_to_their_limit) {
    broker_files_t f;
    bool known;
    char password[BROKER_GATE_PASSWORD_MAX + 2];
    int users = open_users(&f);
    memset(password, 'p', sizeof password);
    password[BROKER_GATE_PASSWORD_MAX] = '\0';
    CHECK_OK(broker_users_set(&f, "dev1", password, &known));
    CHECK_EQ(broker_gate_ask(users, "dev1", password), BROKER_GATE_IN);
    password[BROKER_GATE_PASSWORD_MAX] = 'p';
    password[BROKER_GATE_PASSWORD_MAX + 1] = '\0';
    CHECK_EQ(broker_gate_ask(users, "dev1", password), BROKER_GATE_OUT);
    close(users);
}

TEST(broker_gate_understands_what_mosquitto_passwd_makes) {
    CHECK_EQ(broker_gate_match(RECORD "\n", strlen(RECORD "\n"), "correct horse"), BROKER_GATE_IN);
    CHECK_EQ(broker_gate_match(RECORD, strlen(RECORD), "correct horse"), BROKER_GATE_IN);
    CHECK_EQ(broker_gate_match(RECORD, strlen(RECORD), "correct hors"), BROKER_GATE_OUT);
}

/* Each name would find a file if it were looked for. */
TEST(broker_gate_looks_for_no_file_under_a_name_that_is_none) {
    static const char *const names[] = {"../outside", "a/../dev1",  "/dev1", "./dev1", "dev1/",
                                        ".",          "..",         "",      "Dev1",   "dev1 ",
                                        "dev1\n",     " dev1",      "-dev1", ".dev1",  "__dev1",
                                        "_",          "d\xc3\xa9v", "+",     "#",      "dev1.AbCdEf"};
    broker_files_t f;
    bool known;
    int users = open_users(&f);
    CHECK_OK(broker_users_set(&f, "dev1", "secret", &known));
    CHECK_OK(broker_users_set(&f, "_dev1", "secret", &known));
    CHECK_EQ(broker_gate_ask(users, "_dev1", "secret"), BROKER_GATE_IN);
    put(&f, "../outside", RECORD);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; ++i) {
        CHECK(!broker_gate_name_valid(names[i]));
        CHECK_EQ(broker_gate_ask(users, names[i], i == 0 ? "correct horse" : "secret"), BROKER_GATE_OUT);
    }
    close(users);
}

/* The cloud makes users by rdg_name_valid: what it makes can come in, and nothing else. */
TEST(broker_gate_knows_the_names_that_the_cloud_makes) {
    char name[80];
    for (int c = 1; c < 256; ++c)
        for (int at = 0; at < 2; ++at) {
            snprintf(name, sizeof name, "%s%c", at ? "a" : "", c);
            CHECK_EQ(broker_gate_name_valid(name), rdg_name_valid(name));
        }
    for (size_t len = 60; len < 70; ++len) {
        memset(name, 'a', len);
        name[len] = '\0';
        CHECK_EQ(broker_gate_name_valid(name), rdg_name_valid(name));
        name[0] = '_';
        CHECK_EQ(broker_gate_name_valid(name), rdg_name_valid(name + 1));
    }
    CHECK(!broker_gate_name_valid(NULL));
}

TEST(broker_gate_is_shut_by_a_damaged_record) {
    static const char *const damaged[] = {"",
                                          "\n",
                                          "$",
                                          "$7$",
                                          "$6$" SALT "$" HASH,
                                          "$7$101",
                                          "$7$101$",
                                          "$7$101$" SALT,
                                          "$7$101$" SALT "$",
                                          "$7$0$" SALT "$" HASH,
                                          "$7$$" SALT "$" HASH,
                                          "$7$-1$" SALT "$" HASH,
                                          "$7$100001$" SALT "$" HASH,
                                          "$7$18446744073709551717$" SALT "$" HASH,
                                          "$7$101$$" HASH,
                                          "$7$101$" SALT "=$" HASH,
                                          "$7$101$1SIR w5KdiFvVeA6k$" HASH,
                                          "$7$101$====$" HASH,
                                          "$7$101$" SALT "$" HASH "=",
                                          "$7$101$" SALT "$" HASH "x",
                                          "$7$101$" SALT "$" HASH "\n\n",
                                          "$7$101$" SALT "$" HASH "\ndev2:x",
                                          " $7$101$" SALT "$" HASH,
                                          "$7$101$" SALT "$mzutkhM8QASJyqvQHEWo1A==",
                                          "$7$101$" SALT "$" SALT HASH,
                                          "correct horse"};
    broker_files_t f;
    char text[BROKER_GATE_RECORD_MAX + 8];
    int users = open_users(&f);
    for (size_t i = 0; i < sizeof damaged / sizeof damaged[0]; ++i) {
        put(&f, "dev1", damaged[i]);
        errno = 0;
        CHECK_EQ(broker_gate_ask(users, "dev1", "correct horse"), BROKER_GATE_BROKEN);
        CHECK_EQ(errno, EBADMSG);
    }
    memset(text, 'A', sizeof text); /* longer than any record, in each of its parts */
    CHECK_EQ(broker_gate_match(text, sizeof text, "correct horse"), BROKER_GATE_BROKEN);
    memcpy(text, "$7$101$", 7);
    CHECK_EQ(broker_gate_match(text, BROKER_GATE_RECORD_MAX, "correct horse"), BROKER_GATE_BROKEN);
    memcpy(text, RECORD, sizeof RECORD); /* with its NUL, and something behind it */
    CHECK_EQ(broker_gate_match(text, sizeof RECORD + 1, "correct horse"), BROKER_GATE_BROKEN);
    close(users);
}

TEST(broker_gate_waits_for_nothing_and_follows_nothing) {
    broker_files_t f;
    char path[640], outside[600];
    int users = open_users(&f);
    snprintf(outside, sizeof outside, "%s/outside", rdg_test_dir());
    CHECK_OK(rdg_file_replace(outside, rdg_bytes_str(RECORD), 0600));
    snprintf(path, sizeof path, "%s/link", f.users);
    CHECK_EQ(symlink(outside, path), 0);
    CHECK_EQ(broker_gate_ask(users, "link", "correct horse"), BROKER_GATE_BROKEN);
    snprintf(path, sizeof path, "%s/pipe", f.users);
    CHECK_EQ(mkfifo(path, 0600), 0);
    CHECK_EQ(broker_gate_ask(users, "pipe", "correct horse"), BROKER_GATE_BROKEN);
    snprintf(path, sizeof path, "%s/dir", f.users);
    CHECK_EQ(mkdir(path, 0700), 0);
    CHECK_EQ(broker_gate_ask(users, "dir", "correct horse"), BROKER_GATE_BROKEN);
    close(users);
}

TEST(broker_users_of_a_password_file_are_taken_over_whatever_else_is_in_it) {
    static const char file[] =
        "dev1:" RECORD "\n"
        "cloud:" RECORD "\n"
        "_ops:" RECORD "\n"
        "../outside:" RECORD "\n"
        "a/b:" RECORD "\n"
        "no colon\n"
        ":" RECORD "\n"
        "\n"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:x\n"
        "dev2:plain\n"
        "dev3:" RECORD; /* cut off behind its last byte */
    broker_files_t f;
    int users = open_users(&f);
    char outside[600];
    CHECK_OK(broker_users_take_over(&f)); /* there is none */
    snprintf(f.passwords, sizeof f.passwords, "%s/passwords", rdg_test_dir());
    snprintf(f.dir, sizeof f.dir, "%s", rdg_test_dir());
    put(&f, "dev1", "$7$10"); /* of a start that a power cut ended */
    CHECK_OK(rdg_file_replace(f.passwords, rdg_bytes_str(file), 0600));
    CHECK_OK(broker_users_take_over(&f));
    CHECK(!rdg_file_exists(f.passwords));
    static const char *const in[] = {"dev1", "cloud", "_ops", "dev3"};
    for (size_t i = 0; i < sizeof in / sizeof in[0]; ++i) {
        CHECK_EQ(broker_gate_ask(users, in[i], "correct horse"), BROKER_GATE_IN);
        CHECK_EQ(broker_gate_ask(users, in[i], "wrong"), BROKER_GATE_OUT);
    }
    CHECK_EQ(broker_gate_ask(users, "dev2", "plain"), BROKER_GATE_BROKEN);
    snprintf(outside, sizeof outside, "%s/outside", rdg_test_dir());
    CHECK(!rdg_file_exists(outside));
    CHECK_OK(broker_users_take_over(&f)); /* once */
    close(users);
}
