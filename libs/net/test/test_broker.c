#include "mqtt_test.h"
#include "broker_internal.h"
#include "socket.h"
#include "ridge/base/file.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

TEST(broker_lets_in_only_who_knows_the_password_until_removed) {
    rdg_broker_t *b = broker_open(0);
    peer_t wrong = {0}, right = {0};
    CHECK_OK(rdg_broker_set_user(b, "dev1", "secret"));
    peer_open(&wrong, b, "wrong", "dev1", "secreT", NULL);
    peer_await(&wrong, downs, 1);
    CHECK(strstr(wrong.why, "not authorised") || strstr(wrong.why, "bad user"));
    CHECK_ERR(rdg_mqtt_publish(wrong.mqtt, "devices/dev1/x", rdg_bytes_str("x"), false, NULL),
              RDG_E_UNAVAILABLE);
    peer_close(&wrong);
    peer_open(&right, b, "right", "dev1", "secret", NULL);
    peer_await(&right, ups, 1);
    CHECK_OK(rdg_broker_set_user(b, "dev1", "changed"));
    peer_await(&right, downs, 2); /* cut, and refused after that */
    peer_close(&right);
    peer_open(&right, b, "right", "dev1", "changed", NULL);
    peer_await(&right, ups, 2);
    CHECK_OK(rdg_broker_remove_user(b, "dev1"));
    CHECK_ERR(rdg_broker_remove_user(b, "dev1"), RDG_E_NOT_FOUND);
    peer_await(&right, downs, 4);
    peer_close(&right);
    rdg_broker_stop(b);
    CHECK_EQ(rdg_alloc_live(), 0);
}

static int answer_to(const rdg_broker_t *b, const char *user, const char *password) {
    const char *at = strrchr(rdg_broker_url(b), ':');
    char *end;
    int code = -1;
    rdg_err_t err =
        broker_probe("127.0.0.1", (uint16_t)strtoul(at + 1, &end, 10), user, password, 5000, &code);
    return err == RDG_OK ? code : -1;
}

#define REFUSED 5

TEST(broker_refuses_every_name_and_password_but_the_right_ones) {
    static const char *const odd[] = {
        "dev2", "Dev1", "dev1 ", "../users/dev1", "/dev1", "./dev1", "a/dev1", "", "..",
        ".",    "+",    "#",     "_dev1",         "$SYS",  "dev1\n", "*"};
    rdg_broker_t *b = broker_open(0);
    char longest[200];
    CHECK_OK(rdg_broker_set_user(b, "dev1", "secret"));
    CHECK_EQ(answer_to(b, "dev1", "secret"), 0);
    CHECK_EQ(answer_to(b, NULL, NULL), REFUSED);
    CHECK_EQ(answer_to(b, "dev1", ""), REFUSED);
    CHECK_EQ(answer_to(b, "dev1", "secret2"), REFUSED);
    /* A name that is no text of MQTT's ends the connection without an answer. */
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; ++i) CHECK(answer_to(b, odd[i], "secret") != 0);
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    CHECK_EQ(answer_to(b, longest, "secret"), REFUSED);
    CHECK_EQ(answer_to(b, "dev1", longest), REFUSED);
    CHECK_EQ(answer_to(b, "dev1", "secret"), 0);
    rdg_broker_stop(b);
}

/* A refusal would make a device think that it is unwanted; it comes again when it is just cut off. */
TEST(broker_lets_nobody_in_by_a_damaged_file_and_refuses_nobody_for_it) {
    rdg_broker_t *b = broker_open(0);
    char path[300];
    CHECK_OK(rdg_broker_set_user(b, "dev1", "secret"));
    CHECK_OK(rdg_broker_set_user(b, "dev2", "secret"));
    snprintf(path, sizeof path, "%s/broker/users/dev1", rdg_test_dir());
    CHECK_OK(rdg_file_replace(path, rdg_bytes_str("$7$101$AAAA"), 0644));
    CHECK_EQ(answer_to(b, "dev1", "secret"), -1);
    CHECK_EQ(answer_to(b, "dev2", "secret"), 0);
    CHECK_OK(rdg_broker_set_user(b, "dev1", "again"));
    CHECK_EQ(answer_to(b, "dev1", "again"), 0);
    rdg_broker_stop(b);
}

TEST(broker_changes_one_user_without_a_look_at_the_others) {
    rdg_broker_t *b = broker_open(0);
    char path[300];
    struct stat before, after;
    CHECK_OK(rdg_broker_set_user(b, "one", "1"));
    CHECK_OK(rdg_broker_set_user(b, "two", "2"));
    snprintf(path, sizeof path, "%s/broker/users/one", rdg_test_dir());
    CHECK_EQ(stat(path, &before), 0);
    CHECK_OK(rdg_broker_set_user(b, "two", "3"));
    CHECK_OK(rdg_broker_remove_user(b, "two"));
    CHECK_EQ(stat(path, &after), 0);
    CHECK_EQ(before.st_ino, after.st_ino);
    CHECK_EQ(answer_to(b, "one", "1"), 0);
    rdg_broker_stop(b);
}

TEST(broker_of_an_earlier_version_keeps_its_users) {
    static const char file[] = "dev1:$7$101$1SIRw5KdiFvVeA6k$mzutkhM8QASJyqvQHEWo1AQdYlvi+hMyIYHB9nNMg05/"
                               "vDeiv5lE4z0lMNShGR7FDYV4h5a1SAQ+7auflB+R0g==\nrubbish\n";
    char path[300];
    snprintf(path, sizeof path, "%s/broker", rdg_test_dir());
    CHECK_EQ(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/broker/passwords", rdg_test_dir());
    CHECK_OK(rdg_file_replace(path, rdg_bytes_str(file), 0600));
    for (int start = 0; start < 2; ++start) {
        rdg_broker_t *b = broker_open(0);
        CHECK_EQ(answer_to(b, "dev1", "correct horse"), 0);
        CHECK_EQ(answer_to(b, "dev1", "correct"), REFUSED);
        CHECK_EQ(answer_to(b, "rubbish", "rubbish"), REFUSED);
        CHECK(!rdg_file_exists(path));
        rdg_broker_stop(b);
    }
    CHECK_EQ(rdg_alloc_live(), 0);
}

/* Nothing else stands behind the plugin: without it there is no broker. */
TEST(broker_whose_plugin_is_damaged_does_not_start_and_a_new_start_mends_it) {
    rdg_broker_t *b = broker_open(0);
    char path[300];
    CHECK_OK(rdg_broker_set_user(b, "dev1", "secret"));
    pid_t pid = rdg_broker_pid(b);
    snprintf(path, sizeof path, "%s/broker/ridge-users.so", rdg_test_dir());
    CHECK_OK(rdg_file_replace(path, rdg_bytes_str("no plugin"), 0644));
    kill(pid, SIGKILL);
    char line[256] = "";
    broker_files_t f = {0};
    snprintf(f.log, sizeof f.log, "%s/broker/mosquitto.log", rdg_test_dir());
    for (int i = 0; i < 10000 && !strstr(line, "Load error"); ++i) {
        broker_last_log_line(&f, line, sizeof line);
        usleep(1000);
    }
    CHECK(strstr(line, "Load error"));
    CHECK_EQ(answer_to(b, "dev1", "secret"), -1);
    CHECK_EQ(answer_to(b, NULL, NULL), -1);
    rdg_broker_stop(b);
    b = broker_open(0);
    CHECK_EQ(answer_to(b, "dev1", "secret"), 0);
    CHECK_EQ(answer_to(b, NULL, NULL), REFUSED);
    rdg_broker_stop(b);
}

/* Started by root it gives up its rights when its own user can reach its directory, which may be later. */
TEST(broker_that_ran_as_another_user_keeps_its_users) {
    char path[300], above[300];
    struct stat before, after;
    if (geteuid() != 0) rdg_test_skip("needs root");
    CHECK_EQ(chmod(rdg_test_dir(), 0700), 0);
    rdg_broker_t *b = broker_open(0);
    CHECK_OK(rdg_broker_set_user(b, "dev1", "secret"));
    rdg_broker_stop(b);
    snprintf(path, sizeof path, "%s/broker/users/dev1", rdg_test_dir());
    CHECK_EQ(stat(path, &before), 0);
    snprintf(above, sizeof above, "%.*s", (int)(strrchr(rdg_test_dir(), '/') - rdg_test_dir()),
             rdg_test_dir());
    CHECK_EQ(chmod(above, 0711), 0);
    CHECK_EQ(chmod(rdg_test_dir(), 0711), 0);
    b = broker_open(0);
    CHECK_EQ(stat(path, &after), 0);
    if (after.st_uid == before.st_uid) rdg_test_skip("there is no user mosquitto");
    CHECK_EQ(answer_to(b, "dev1", "secret"), 0);
    CHECK_OK(rdg_broker_set_user(b, "dev1", "changed"));
    CHECK_EQ(answer_to(b, "dev1", "changed"), 0);
    rdg_broker_stop(b);
}

TEST(broker_removes_a_user_while_it_is_down) {
    rdg_broker_t *b = broker_open(0);
    CHECK_OK(rdg_broker_set_user(b, "dev1", "secret"));
    CHECK_OK(rdg_broker_set_user(b, "dev2", "secret"));
    kill(rdg_broker_pid(b), SIGKILL);
    CHECK_OK(rdg_broker_remove_user(b, "dev1"));
    CHECK_OK(rdg_broker_set_user(b, "dev2", "changed"));
    peer_t in = {0};
    peer_open(&in, b, "dev2", "dev2", "changed", NULL);
    peer_await(&in, ups, 1);
    CHECK_EQ(answer_to(b, "dev1", "secret"), REFUSED);
    CHECK_EQ(answer_to(b, "dev2", "secret"), REFUSED);
    peer_close(&in);
    rdg_broker_stop(b);
}

TEST(broker_acl_keeps_each_device_to_its_own_topics) {
    rdg_broker_t *b = broker_open(0);
    peer_t cloud = {0}, one = {0}, two = {0};
    CHECK_OK(rdg_broker_set_user(b, "cloud", "c"));
    CHECK_OK(rdg_broker_set_user(b, "one", "1"));
    CHECK_OK(rdg_broker_set_user(b, "two", "2"));
    peer_open(&cloud, b, "cloud", "cloud", "c", "devices/#");
    peer_open(&one, b, "one", "one", "1", "devices/#");
    peer_open(&two, b, "two", "two", "2", "devices/two/#");
    peer_await_subscribed(&cloud, 1);
    peer_await_subscribed(&one, 1);
    peer_await_subscribed(&two, 1);
    /* one writes to two's topics, then to its own: only the second may arrive anywhere. */
    peer_send(&one, "devices/two/command", "forged");
    peer_send(&one, "elsewhere", "forged");
    peer_send(&one, "devices/one/result", "honest");
    peer_await(&cloud, messages, 1);
    CHECK_STR(cloud.topics, "devices/one/result ");
    /* The cloud writes to two, then to one: one sees only its own although it asked for all. */
    peer_send(&cloud, "devices/two/command", "for two");
    peer_await(&two, messages, 1);
    peer_send(&cloud, "devices/one/command", "for one");
    peer_await(&one, messages, 2);
    CHECK_STR(one.topics, "devices/one/result devices/one/command ");
    CHECK_STR(two.topics, "devices/two/command ");
    peer_close(&cloud);
    peer_close(&one);
    peer_close(&two);
    rdg_broker_stop(b);
}

/* Every topic of the protocol's table, with this device's name in it. Returns how many. */
static int topics_of(const char *device, char out[32][96]) {
    rdg_buf_t text;
    int n = 0;
    rdg_buf_init(&text, 1 << 20);
    CHECK_OK(rdg_file_read(RIDGE_SOURCE_DIR "/docs/device-protocol.md", &text));
    for (const char *at = rdg_buf_cstr(&text); n < 32 && (at = strstr(at, "\n| `")); at += 4) {
        char topic[96];
        snprintf(topic, sizeof topic, "%.*s", (int)strcspn(at + 4, "`"), at + 4);
        if (strncmp(topic, "cloud/", 6) == 0) snprintf(out[n++], 96, "%s", topic);
        if (strncmp(topic, "devices/<id>/", 13) == 0)
            snprintf(out[n++], 96, "devices/%s/%s", device, topic + 13);
    }
    rdg_buf_fini(&text);
    return n;
}

TEST(broker_keeps_a_device_from_every_topic_of_another) {
    rdg_broker_t *b = broker_open(0);
    peer_t cloud = {0}, one = {.by_socket = true}, two = {.by_socket = true};
    char topics[32][96];
    int count = topics_of("two", topics), own = 0;
    CHECK(count >= 11);
    CHECK_OK(rdg_broker_set_user(b, "cloud", "c"));
    CHECK_OK(rdg_broker_set_user(b, "one", "1"));
    CHECK_OK(rdg_broker_set_user(b, "two", "2"));
    peer_open(&cloud, b, "cloud", "cloud", "c", "#");
    peer_open(&one, b, "one", "one", "1", "#");
    peer_open(&two, b, "two", "two", "2", "devices/two/#");
    peer_await_subscribed(&cloud, 1);
    peer_await_subscribed(&one, 1);
    peer_await_subscribed(&two, 1);
    for (int i = 0; i < count; ++i) peer_send(&one, topics[i], "forged");
    peer_send(&one, "devices/one/result", "honest");
    peer_await(&cloud, messages, 1);
    CHECK_STR(cloud.topics, "devices/one/result ");
    peer_await(&one, messages, 1);
    for (int i = 0; i < count; ++i) {
        peer_send(&cloud, topics[i], "for two, or for all");
        own += strncmp(topics[i], "devices/", 8) == 0;
    }
    peer_send(&cloud, "devices/one/command", "for one");
    peer_await(&two, messages, own);
    peer_await(&one, messages, 1 + count - own + 1);
    CHECK(strstr(one.topics, "devices/two") == NULL);
    peer_close(&cloud);
    peer_close(&one);
    peer_close(&two);
    rdg_broker_stop(b);
}

TEST(broker_names_a_session_by_its_user_so_that_nobody_takes_it_over) {
    rdg_broker_t *b = broker_open(0);
    peer_t cloud = {0}, one = {.by_socket = true}, two = {.by_socket = true};
    CHECK(rdg_broker_socket(b) != NULL);
    CHECK_OK(rdg_broker_set_user(b, "cloud", "c"));
    CHECK_OK(rdg_broker_set_user(b, "one", "1"));
    CHECK_OK(rdg_broker_set_user(b, "two", "2"));
    peer_open(&cloud, b, "cloud", "cloud", "c", NULL);
    peer_open(&two, b, "two", "two", "2", "devices/two/#");
    peer_await_subscribed(&two, 1);
    peer_await(&cloud, ups, 1);
    peer_open(&one, b, "two", "one", "1", "devices/one/#"); /* with two's client id */
    peer_await_subscribed(&one, 1);
    peer_send(&cloud, "devices/two/command", "for two");
    peer_await(&two, messages, 1);
    CHECK_EQ(two.downs, 0);
    peer_close(&one);
    peer_close(&two);
    peer_close(&cloud);
    rdg_broker_stop(b);
}

typedef struct crowd {
    rdg_broker_t *broker;
    pthread_t thread;
    int number;
} crowd_t;

static void *add_users(void *arg) {
    crowd_t *c = arg;
    char name[32];
    for (int i = 0; i < 8; ++i) {
        snprintf(name, sizeof name, "dev-%d-%d", c->number, i);
        CHECK_OK(rdg_broker_set_user(c->broker, name, name));
        if (i < 6) CHECK_OK(rdg_broker_remove_user(c->broker, name));
    }
    return NULL;
}

/* A reload that finds the file unreadable, or half of it, sends everybody away. */
TEST(broker_keeps_who_is_connected_while_many_users_come_at_once) {
    CHECK_EQ(chmod(rdg_test_dir(), 0711), 0); /* started by root, it runs as its own user then */
    rdg_broker_t *b = broker_open(0);
    peer_t one = {.by_socket = true}, last = {.by_socket = true};
    crowd_t all[8];
    CHECK_OK(rdg_broker_set_user(b, "one", "1"));
    peer_open(&one, b, "one", "one", "1", NULL);
    peer_await(&one, ups, 1);
    for (int i = 0; i < 8; ++i) {
        all[i] = (crowd_t){.broker = b, .number = i};
        CHECK_EQ(pthread_create(&all[i].thread, NULL, add_users, &all[i]), 0);
    }
    for (int i = 0; i < 8; ++i) pthread_join(all[i].thread, NULL);
    peer_open(&last, b, "last", "dev-7-6", "dev-7-6", NULL);
    peer_await(&last, ups, 1);
    CHECK_EQ(one.downs, 0);
    peer_close(&one);
    peer_close(&last);
    rdg_broker_stop(b);
    CHECK_EQ(rdg_alloc_live(), 0);
}

TEST(broker_keeps_port_users_and_sessions_across_a_restart) {
    rdg_broker_t *b = broker_open(0);
    char url[64];
    peer_t in = {0}, cloud = {0};
    CHECK_OK(rdg_broker_set_user(b, "cloud", "c"));
    CHECK_OK(rdg_broker_set_user(b, "dev", "d"));
    snprintf(url, sizeof url, "%s", rdg_broker_url(b));
    peer_open(&in, b, "dev", "dev", "d", "devices/dev/command");
    peer_await_subscribed(&in, 1);
    peer_open(&cloud, b, "cloud", "cloud", "c", NULL);
    peer_await(&cloud, ups, 1);
    peer_send(&cloud, "devices/dev/command", "one");
    peer_await(&in, messages, 1);
    peer_close(&in);
    peer_send(&cloud, "devices/dev/command", "two");
    peer_await(&cloud, published, 2);
    rdg_broker_stop(b);
    b = broker_open(0);
    CHECK_STR(rdg_broker_url(b), url);
    peer_await(&cloud, ups, 2);
    peer_open(&in, b, "dev", "dev", "d", "devices/dev/command");
    peer_await(&in, messages, 2);
    CHECK_STR(in.last, "two");
    peer_close(&in);
    peer_close(&cloud);
    rdg_broker_stop(b);
}

TEST(broker_takes_another_port_when_its_own_is_busy_but_never_one_asked_for) {
    rdg_broker_t *b = broker_open(1);
    char dir[256], *end;
    int fd;
    uint16_t port = (uint16_t)strtoul(strrchr(rdg_broker_url(b), ':') + 1, &end, 10), bound;
    rdg_broker_stop(b);
    CHECK_OK(socket_listen(NULL, port, &fd, &bound));
    snprintf(dir, sizeof dir, "%s/other", rdg_test_dir());
    rdg_err_t err = rdg_broker_start(&(rdg_broker_options_t){.dir = dir, .anonymous = 1, .port = port}, &b);
    CHECK_ERR(err, RDG_E_PORT_IN_USE);
    char where[32];
    snprintf(where, sizeof where, "127.0.0.1:%u", port);
    CHECK(strstr(rdg_err_message(err), where) != NULL);
    b = broker_open(1);
    CHECK(strtoul(strrchr(rdg_broker_url(b), ':') + 1, &end, 10) != port);
    rdg_broker_stop(b);
    close(fd);
}

TEST(broker_dies_with_its_program) {
    int fds[2];
    pid_t broker = 0;
    CHECK_EQ(pipe(fds), 0);
    const char *dir = rdg_test_dir();
    pid_t program = fork();
    if (program == 0) {
        char sub[300];
        rdg_broker_t *b;
        snprintf(sub, sizeof sub, "%s/forked", dir);
        rdg_err_t err = rdg_broker_start(&(rdg_broker_options_t){.dir = sub, .anonymous = 1}, &b);
        broker = err == RDG_OK ? rdg_broker_pid(b) : 0;
        (void)!write(fds[1], &broker, sizeof broker);
        kill(getpid(), SIGKILL);
    }
    CHECK_EQ(read(fds[0], &broker, sizeof broker), (ssize_t)sizeof broker);
    CHECK_EQ(waitpid(program, NULL, 0), program);
    if (broker == 0) rdg_test_skip("mosquitto is not installed");
    for (int i = 0; i < 5000 && kill(broker, 0) == 0; ++i) {
        char path[64], state[512] = "";
        snprintf(path, sizeof path, "/proc/%d/stat", (int)broker);
        FILE *f = fopen(path, "r");
        if (!f || !fgets(state, sizeof state, f) || strstr(state, ") Z ")) i = 5000;
        if (f) fclose(f);
        if (i == 5000) break;
        usleep(1000);
        CHECK(i < 4999);
    }
    close(fds[0]);
    close(fds[1]);
}

TEST(broker_that_cannot_start_says_why) {
    char dir[256];
    rdg_broker_t *b;
    snprintf(dir, sizeof dir, "%s/b", rdg_test_dir());
    rdg_err_t err = rdg_broker_start(&(rdg_broker_options_t){.dir = dir, .program = "no-such-broker"}, &b);
    CHECK_ERR(err, RDG_E_NOT_FOUND);
    CHECK(strstr(rdg_err_message(err), "no-such-broker") != NULL);
    err = rdg_broker_start(&(rdg_broker_options_t){.dir = dir, .acl = "this is no acl\n"}, &b);
    if (err == RDG_E_NOT_FOUND) rdg_test_skip("mosquitto is not installed");
    CHECK_ERR(err, RDG_E_UNAVAILABLE);
    CHECK(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
    CHECK_EQ(rdg_alloc_live(), 0);
}

TEST(broker_refuses_bad_users_and_passwords) {
    rdg_broker_t *b = broker_open(0);
    CHECK_ERR(rdg_broker_set_user(b, "a:b", "x"), RDG_E_INVALID);
    CHECK_ERR(rdg_broker_set_user(b, "+", "x"), RDG_E_INVALID);
    CHECK_ERR(rdg_broker_set_user(b, "a\nb", "x"), RDG_E_INVALID);
    CHECK_ERR(rdg_broker_set_user(b, "a", ""), RDG_E_INVALID);
    rdg_broker_stop(b);
}

TEST(broker_files_are_not_for_everybody) {
    rdg_broker_t *b = broker_open(0);
    CHECK_OK(rdg_broker_set_user(b, "dev", "d"));
    static const char *const names[] = {"users", "kicks",          "users/dev",
                                        "acl",   "mosquitto.conf", "mosquitto.db"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; ++i) {
        char path[256];
        struct stat st;
        snprintf(path, sizeof path, "%s/broker/%s", rdg_test_dir(), names[i]);
        if (stat(path, &st) != 0) continue;
        CHECK_EQ(st.st_mode & 07, 0);
    }
    rdg_broker_stop(b);
}

TEST(broker_that_saves_seldom_still_saves_when_it_is_stopped) {
    char dir[256];
    rdg_broker_t *b;
    peer_t in = {0}, out = {0};
    snprintf(dir, sizeof dir, "%s/b", rdg_test_dir());
    rdg_broker_options_t o = {.dir = dir, .anonymous = 1, .save_every_s = 3600};
    rdg_err_t err = rdg_broker_start(&o, &b);
    if (err == RDG_E_NOT_FOUND) rdg_test_skip("mosquitto is not installed");
    CHECK_OK(err);
    peer_open(&in, b, "in", NULL, NULL, "a/#");
    peer_await_subscribed(&in, 1);
    peer_close(&in);
    peer_open(&out, b, "out", NULL, NULL, NULL);
    peer_await(&out, ups, 1);
    peer_send(&out, "a/b", "kept");
    peer_await(&out, published, 1);
    peer_close(&out);
    rdg_broker_stop(b);
    CHECK_OK(rdg_broker_start(&o, &b));
    peer_open(&in, b, "in", NULL, NULL, "a/#");
    peer_await(&in, messages, 1);
    CHECK_STR(in.last, "kept");
    peer_close(&in);
    rdg_broker_stop(b);
}
