#include "bugs.h"

static const bug_t all[] = {
    /* the core */
    {"quorum-small", "f+1 votes decide", "pbft", "storm", 50, "seal certified agreement"},
    {"vote-unrecorded", "a vote is sent and not recorded", "pbft", "storm", 50, "durable"},
    {"vote-again", "records are not read after a restart", "pbft", "storm", 500, "once durable promise"},
    {"commit-unprepared", "commit votes without a quorum of prepares", "pbft", "locks-and-rounds", 500,
     "agreement certified abort"},
    {"certificate-unverified", "certificates are believed", "pbft", "storm", 500,
     "agreement seal certified halt evidence"},
    {"signer-twice", "a signer counts as often as it stands in a certificate", "pbft", "prepared-relabelled",
     500, "agreement certified seal halt"},
    {"timeout-unbounded", "the time-out of a view doubles without end", "pbft", "no-proposals", 100,
     "progress"},
    {"signature-unchecked", "votes are believed without their signature", "pbft", "storm", 500, "seal once"},
    {"other-epoch", "messages of another epoch are taken", "pbft", "storm", 500, "seal"},
    {"prepared-withheld", "view changes come without their certificates", "pbft", "locks-and-rounds", 100,
     "agreement certified"},
    {"new-view-unbound", "what a new view must propose is forgotten", "pbft", "conflicting-evidence", 100,
     "agreement certified"},
    {"new-view-unverified", "new views are believed", "pbft", "new-view-recomputed", 300,
     "agreement certified seal abort halt progress dragged"},
    {"bytes-unjudged", "blocks are committed that the host has not judged", "pbft", "storm", 1000,
     "validity halt agreement order"},
    {"amnesia-votes", "a replica without its records votes at once", "pbft", "amnesia", 200, "once"},
    {"one-moves-all", "one validator's wish moves the others to its view", "pbft", "huge-view", 100,
     "dragged"},
    {"change-unverified", "what view changes bring is believed", "pbft", "prepared-relabelled", 1500,
     "agreement certified seal progress halt dragged"},
    {"kept-unjudged", "bytes that were refused replace what was prepared", "pbft", "byzzfuzz", 3000,
     "progress validity"},
    /* Raft's core */
    {"raft-vote-cleared", "a vote is forgotten when a candidate or leader steps down in its term", "raft",
     "storm", 2000, "once leader"},
    {"raft-vote-unrecorded", "votes are not recorded", "raft", "storm", 100, "durable"},
    {"raft-entry-unrecorded", "entries are not recorded", "raft", "storm", 100, "durable"},
    {"raft-minority", "a majority less one elects and commits", "raft", "storm", 500,
     "leader agreement log abort seal"},
    {"raft-stale-elected", "votes go to candidates that lack entries", "raft", "leaders-come-and-go", 2000,
     "agreement lost halt abort"},
    {"raft-unmatched", "entries are appended without a match of what is before them", "raft",
     "leaders-come-and-go", 2000, "agreement log halt abort result"},
    /* the host */
    {"send-before-write", "messages leave before their records are written", "pbft", "storm", 50, "durable"},
    {"write-unsynced", "records are written and not synced", "pbft", "storm", 500, "once promise"},
    {"block-unsynced", "a block is executed and not synced", "pbft", "storm", 50, "durable"},
    {"raft-block-unsynced", "the same under Raft", "raft", "storm", 50, "durable"},
    {"forget-records", "the host gives no records back", "pbft", "storm", 500, "once durable promise"},
    {"amnesia-unnoticed", "a wiped replica starts as a new one", "pbft", "amnesia", 200, "once"},
    {"sync-unsealed", "blocks of peers are stored without a look at their seal", "pbft", "lying-sources", 200,
     "agreement result halt order"},
    {"validate-nothing", "every proposal is found valid", "pbft", "storm", 1000, "validity halt agreement"},
};

const bug_t *bug_at(size_t i) {
    return i < sizeof all / sizeof all[0] ? &all[i] : NULL;
}
