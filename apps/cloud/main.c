/* ridge-cloud: enrolment, commands and chains over REST (docs/rest-api.md). */
#include <stdio.h>
#include <sys/stat.h>
#include "cloud.h"
#include "ridge/base/config.h"
#include "ridge/base/log.h"
#include "ridge/net/loop.h"

enum { EXIT_CONFIG = 2, EXIT_DATA = 3, EXIT_PORT = 4 };

static const rdg_option_t options[] = {
    {"data", RDG_OPT_STRING, "/var/lib/ridge-cloud",
     "directory of databases, keys, broker and administrator's token", false, 0, 0},
    {"host", RDG_OPT_STRING, "127.0.0.1", "address of the REST interface", false, 0, 0},
    {"port", RDG_OPT_U64, "7780", "its port; 0: the system chooses, see cloud.json in the data directory",
     false, 0, 65535},
    {"services", RDG_OPT_STRING, "platform,baas", "services that run in this process", false, 0, 0},
    {"image", RDG_OPT_STRING, NULL,
     "OCI image layout of the node, taken into the registry and used by chains that name no image", false, 0,
     0},
    {"images-max", RDG_OPT_SIZE, "0", "bytes that the registry may hold (64GiB); 0: no limit", false, 0, 0},
    {"images-quotas", RDG_OPT_STRING, NULL, "PREFIX=SIZE of repositories, with commas between", false, 0, 0},
    {"images-proxy", RDG_OPT_STRING, NULL,
     "PREFIX=URL of other registries, with commas between: PREFIX/name here is a copy of name there", false,
     0, 0},
    {"images-proxy-auth", RDG_OPT_STRING, NULL,
     "file with their credentials, as 'skopeo login --authfile' writes it, mode 0600", false, 0, 0},
    {"images-proxy-ca", RDG_OPT_STRING, NULL,
     "PEM file: who must have certified those with https://, in place of the system's roots", false, 0, 0},
    {"images-proxy-max", RDG_OPT_SIZE, "0",
     "bytes that copies may take (50GiB), what was used longest ago goes first; 0: no limit", false, 0, 0},
    {"images-proxy-ttl", RDG_OPT_MS, "5m", "how long a tag of another registry is believed", false, 1000,
     31536000000},
    {"images-read-only", RDG_OPT_BOOL, "false", "the registry takes no pushes and no deletes", false, 0, 0},
    {"public-url", RDG_OPT_STRING, NULL,
     "how clients of the registry reach this cloud, when not by its own address (https://cloud.example)",
     false, 0, 0},
    {"broker-url", RDG_OPT_STRING, NULL,
     "a broker that is there already and knows its users (mqtt://host:port); default: an own mosquitto",
     false, 0, 0},
    {"broker-password", RDG_OPT_STRING, NULL, "of user cloud at that broker", true, 0, 0},
    {"broker-program", RDG_OPT_STRING, NULL, "mosquitto's path; default: from PATH and /usr/sbin", false, 0,
     0},
    {"broker-port", RDG_OPT_U64, "0", "of the own mosquitto; 0: the system chooses once", false, 0, 65535},
    {"ca-chain", RDG_OPT_STRING, NULL,
     "PEM file of an external CA: the issuing CA first, its root last; default: a CA of our own in the data "
     "directory",
     false, 0, 0},
    {"ca-key", RDG_OPT_STRING, NULL, "PEM file with the key of that issuing CA, mode 0600", false, 0, 0},
    {"link-host", RDG_OPT_STRING, "0.0.0.0", "address at which devices come in, by TLCP", false, 0, 0},
    {"link-port", RDG_OPT_U64, "7781", "its port; 0: the system chooses once, see cloud.json", false, 0,
     65535},
    {"link-names", RDG_OPT_STRING, NULL,
     "further DNS names in the cloud's own certificate, with commas between", false, 0, 0},
    {"certificate-life", RDG_OPT_MS, "365d",
     "how long the certificates of devices and nodes are valid (a year); less for trials", false, 10000,
     31622400000},
    {"collect-bytes", RDG_OPT_SIZE, "256GiB", "disk space for files that devices upload", false, 1 << 20,
     1ull << 50},
    {"webhook-link-local", RDG_OPT_BOOL, "false",
     "the cloud's own subscriptions may name link-local and metadata addresses", false, 0, 0},
    {"webhook-allow", RDG_OPT_STRING, NULL,
     "ranges of private addresses to which tenants' webhooks may lead, with commas between (10.20.0.0/16); "
     "default: none",
     false, 0, 0},
    {"collect-store", RDG_OPT_STRING, NULL,
     "object store for these files and archives: s3+https://host[:port]/bucket[/prefix][?region=…]; default: "
     "the data directory",
     false, 0, 0},
    {"collect-store-credentials", RDG_OPT_STRING, NULL,
     "file with its keys as the AWS command line has it, mode 0600; default: systemd's credential "
     "object-store",
     false, 0, 0},
    {"collect-store-ca", RDG_OPT_STRING, NULL,
     "PEM file: who must have certified it, in place of the system's roots", false, 0, 0},
    {"command-keep", RDG_OPT_MS, "30d", "how long ended commands stay in the history", false, 60000,
     315360000000},
    {"command-keep-count", RDG_OPT_U64, "100000", "how many of them at most", false, 100, 100000000},
    {"collect-device-bytes", RDG_OPT_SIZE, "0", "of it, for one device at most; 0: all", false, 0,
     1ull << 50},
    {"platform-url", RDG_OPT_STRING, NULL, "where the platform is, when it does not run in this process",
     false, 0, 0},
    {"platform-token", RDG_OPT_STRING, NULL, "access token there", true, 0, 0},
    {"mainchain", RDG_OPT_STRING, "1",
     "the chain that anchors archives: off, how many nodes of it run here (4 tolerate the loss of one), or "
     "http://host:port,… of nodes elsewhere",
     false, 0, 0},
    {"node-program", RDG_OPT_STRING, NULL,
     "ridge-node for the main chain; default: beside this program, else from PATH", false, 0, 0},
    {"checkpoint-interval", RDG_OPT_MS, "10m",
     "how often the head of each chain is recorded on the main chain", false, 100, 31622400000},
    {"log-level", RDG_OPT_STRING, "info", "debug, info, warn or error", false, 0, 0},
};

static int exit_code(rdg_err_t err) {
    switch (err) {
    case RDG_E_CORRUPT:
    case RDG_E_BUSY: return EXIT_DATA;
    case RDG_E_PORT_IN_USE: return EXIT_PORT;
    case RDG_E_INVALID:
    case RDG_E_MALFORMED:
    case RDG_E_NOT_FOUND:
    case RDG_E_FORBIDDEN:
    case RDG_E_UNSUPPORTED: return EXIT_CONFIG;
    default: return 1;
    }
}

static rdg_err_t run(const rdg_config_t *config) {
    cloud_options_t o = {.data_dir = rdg_config_str(config, "data"),
                         .host = rdg_config_str(config, "host"),
                         .port = (uint16_t)rdg_config_u64(config, "port"),
                         .image_dir = rdg_config_str(config, "image"),
                         .images_max = rdg_config_u64(config, "images-max"),
                         .images_quotas = rdg_config_str(config, "images-quotas"),
                         .images_proxy = rdg_config_str(config, "images-proxy"),
                         .images_proxy_auth = rdg_config_str(config, "images-proxy-auth"),
                         .images_proxy_ca = rdg_config_str(config, "images-proxy-ca"),
                         .images_proxy_max = rdg_config_u64(config, "images-proxy-max"),
                         .images_proxy_ttl_ms = rdg_config_u64(config, "images-proxy-ttl"),
                         .images_read_only = rdg_config_bool(config, "images-read-only"),
                         .public_url = rdg_config_str(config, "public-url"),
                         .broker_port = (uint16_t)rdg_config_u64(config, "broker-port"),
                         .broker_url = rdg_config_str(config, "broker-url"),
                         .broker_program = rdg_config_str(config, "broker-program"),
                         .ca_chain = rdg_config_str(config, "ca-chain"),
                         .ca_key = rdg_config_str(config, "ca-key"),
                         .link_host = rdg_config_str(config, "link-host"),
                         .link_port = (uint16_t)rdg_config_u64(config, "link-port"),
                         .link_names = rdg_config_str(config, "link-names"),
                         .certificate_life_ms = rdg_config_u64(config, "certificate-life"),
                         .collect_bytes = rdg_config_u64(config, "collect-bytes"),
                         .collect_store = rdg_config_str(config, "collect-store"),
                         .collect_store_credentials = rdg_config_str(config, "collect-store-credentials"),
                         .collect_store_ca = rdg_config_str(config, "collect-store-ca"),
                         .collect_device_bytes = rdg_config_u64(config, "collect-device-bytes"),
                         .webhook_link_local = rdg_config_bool(config, "webhook-link-local"),
                         .webhook_allow = rdg_config_str(config, "webhook-allow"),
                         .command_keep_ms = rdg_config_u64(config, "command-keep"),
                         .command_keep = rdg_config_u64(config, "command-keep-count"),
                         .broker_password = rdg_config_str(config, "broker-password"),
                         .mainchain = rdg_config_str(config, "mainchain"),
                         .node_program = rdg_config_str(config, "node-program"),
                         .checkpoint_ms = rdg_config_u64(config, "checkpoint-interval"),
                         .platform_url = rdg_config_str(config, "platform-url"),
                         .platform_token = rdg_config_str(config, "platform-token")};
    cloud_t *cloud = NULL;
    rdg_loop_t *loop;
    RDG_TRY(cloud_parse_services(rdg_config_str(config, "services"), &o.platform, &o.baas));
    RDG_TRY(rdg_loop_new(&loop));
    rdg_err_t err = rdg_loop_handle_signals(loop);
    if (err == RDG_OK) err = cloud_start(&o, &cloud);
    if (err == RDG_OK) err = rdg_loop_run(loop);
    if (cloud) rdg_log0(RDG_LOG_INFO, "cloud.stopping");
    cloud_stop(cloud);
    rdg_loop_free(loop);
    return err;
}

int main(int argc, char **argv) {
    rdg_config_t *config = NULL;
    rdg_log_level_t level = RDG_LOG_INFO;
    rdg_err_t err = rdg_config_load("ridge-cloud", "Runs the cloud's services.", "RIDGE_CLOUD", options,
                                    sizeof options / sizeof options[0], argc, argv, &config);
    if (err == RDG_E_CANCELLED) return 0;
    if (err == RDG_OK) err = rdg_log_level_parse(rdg_config_str(config, "log-level"), &level);
    if (err == RDG_OK) {
        umask(077);
        rdg_log_set_level(level);
        rdg_log_common("program", "ridge-cloud");
        err = run(config);
    }
    if (err != RDG_OK) {
        if (config) rdg_log_err("cloud.failed", err);
        fprintf(stderr, "ridge-cloud: %s\n", rdg_err_message(err));
    }
    rdg_config_free(config);
    return err == RDG_OK ? 0 : exit_code(err);
}
