/* Signature Version 4 against Amazon's own examples, and what names an object store. The store itself is tried by
 * ./test object-store. */
#include "ridge/base/file.h"
#include "ridge/test.h"
#include "s3.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

/* Amazon S3 API Reference, "Signature Calculations for the Authorization Header: Transferring Payload in a Single
 * Chunk", examples "GET Bucket Lifecycle" and "Get Bucket (List Objects)". */
TEST(s3_requests_are_signed_as_amazon_s_examples) {
    static const s3_keys_t keys = {"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"};
    char auth[700];
    CHECK_OK(s3_sign(&keys, "us-east-1", "20130524T000000Z", "GET", "examplebucket.s3.amazonaws.com", "/",
                     "lifecycle=", EMPTY, auth));
    CHECK_STR(
        auth,
        "Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
        "SignedHeaders=host;x-amz-content-sha256;x-amz-date, "
        "Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
    CHECK_OK(s3_sign(&keys, "us-east-1", "20130524T000000Z", "GET", "examplebucket.s3.amazonaws.com", "/",
                     "max-keys=2&prefix=J", EMPTY, auth));
    CHECK(strstr(auth, "Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"));
}

TEST(s3_addresses_are_read) {
    static const char *const bad[] = {"",
                                      "https://h/b",
                                      "s3+https://h",
                                      "s3+https://h/",
                                      "s3+https:///b",
                                      "s3+ftp://h/b",
                                      "s3+https://u:p@h/b",
                                      "s3+https://h/b/a b",
                                      "s3+https://h/b?x=1",
                                      "s3+https://h/b?region=",
                                      "s3+https://h/b?region=a/b",
                                      "s3+https://h?region=a/b"};
    s3_t s;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; ++i)
        CHECK_ERR(s3_init(&s, bad[i], "/f", rdg_clock_system()), RDG_E_INVALID);
    CHECK_OK(s3_init(&s, "s3+https://s3.example:443/archive/a/b/?region=eu-1", "/f", rdg_clock_system()));
    CHECK_STR(s.base, "https://s3.example");
    CHECK_STR(s.host, "s3.example");
    CHECK_STR(s.bucket, "archive");
    CHECK_STR(s.prefix, "a/b");
    CHECK_STR(s.region, "eu-1");
    CHECK_OK(s3_init(&s, "s3+http://127.0.0.1:9000/b", "/f", rdg_clock_system()));
    CHECK_STR(s.host, "127.0.0.1:9000");
    CHECK_STR(s.prefix, "");
    CHECK_STR(s.region, "us-east-1");
    CHECK_EQ(unsetenv("CREDENTIALS_DIRECTORY"), 0);
    CHECK_ERR(s3_init(&s, "s3+http://h/b", NULL, rdg_clock_system()), RDG_E_INVALID);
    CHECK_EQ(setenv("CREDENTIALS_DIRECTORY", "/run/credentials/x", 1), 0);
    CHECK_OK(s3_init(&s, "s3+http://h/b", NULL, rdg_clock_system()));
    CHECK_STR(s.credentials, "/run/credentials/x/object-store");
    CHECK_EQ(unsetenv("CREDENTIALS_DIRECTORY"), 0);
}

static rdg_err_t read_keys(const char *text, mode_t mode, s3_keys_t *out) {
    char path[300];
    snprintf(path, sizeof path, "%s/keys", rdg_test_dir());
    CHECK_OK(rdg_file_replace(path, rdg_bytes_str(text), mode));
    return s3_keys(path, out);
}

TEST(s3_credentials_are_those_of_the_default_profile_and_private) {
    s3_keys_t k;
    CHECK_OK(read_keys("[other]\naws_access_key_id=no\n[default]\n aws_access_key_id = AK1 \r\n"
                       "aws_secret_access_key=a/b+c=\n[third]\naws_access_key_id = no\n",
                       0600, &k));
    CHECK_STR(k.id, "AK1");
    CHECK_STR(k.secret, "a/b+c=");
    CHECK_ERR(read_keys("[default]\naws_access_key_id=A\naws_secret_access_key=b\n", 0644, &k),
              RDG_E_FORBIDDEN);
    CHECK_ERR(read_keys("[default]\naws_access_key_id=A\n", 0600, &k), RDG_E_INVALID);
    CHECK_ERR(read_keys("", 0600, &k), RDG_E_INVALID);
    CHECK_ERR(s3_keys("/nonexistent/keys", &k), RDG_E_NOT_FOUND);
    char text[16];
    s3_escape("a/b=~", text, sizeof text);
    CHECK_STR(text, "a%2Fb%3D~");
}
