/* The simulator's command line; see docs/simulator.md. */
#include "bugs.h"
#include "planted.h"
#include "runner.h"
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const char *sim_planted;

typedef struct options {
    campaign_t campaign;
    bool json, replay, verbose, shrink;
    const char *faults, *without, *lies, *revision,
        *only; /* only: this planted bug, or those of a protocol */
    uint64_t seed;
} options_t;

typedef struct totals {
    const options_t *o;
    uint64_t runs, failed, heights, acked, steps, recovery_max_ms, recovery_sum_ms, views_max, evidence;
    uint64_t first_failed;
} totals_t;

/* --- words ------------------------------------------------------------------------------------------------ */

static int usage(const char *why) {
    fprintf(stderr,
            "sim: %s\n"
            "usage: sim/run --seeds A..B [--protocol pbft] [--scenario NAME] [--jobs N] [--json] [--twice] "
            "[--sm2]\n"
            "       sim/run --replay SEED [--scenario NAME] [--faults I,J|none] [--without WORD,...] [--lies "
            "WORD,...]\n"
            "               [--verbose]\n"
            "       sim/run --bug NAME --seeds A..B … | --bugs[=NAME|PROTOCOL] [--jobs N]\n"
            "       sim/run --list\n",
            why);
    return 2;
}

static int list(void) {
    const scenario_t *s;
    printf("scenarios:\n");
    for (size_t i = 0; (s = scenario_at(i)) != NULL; ++i)
        printf("  %-28s %s%s%s\n", s->name, s->says, s->protocol ? " - " : "",
               s->protocol ? s->protocol : "");
    printf("protocols:");
    for (size_t i = 0; protocol_at(i); ++i) printf(" %s", protocol_at(i)->name);
    printf("\nlies:");
    for (uint32_t i = 0; i < LIE_KINDS; ++i) printf(" %s", lie_name(i));
    printf("\nfaults:");
    for (int i = 0; i < FAULT_KINDS; ++i) printf(" %s", fault_name((fault_kind_t)i));
    printf("\nwithout:");
    for (uint32_t i = 0; i < WITHOUT_KINDS; ++i) printf(" %s", without_name(i));
    printf("\n");
    return 0;
}

/* The bits whose names are in a list with commas; false if one is unknown. */
static bool bits_of(const char *words, uint32_t kinds, const char *(*name)(uint32_t), uint32_t *out) {
    char copy[512], *save = NULL;
    snprintf(copy, sizeof copy, "%s", words);
    *out = 0;
    for (char *word = strtok_r(copy, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
        uint32_t i = 0;
        while (i < kinds && strcmp(name(i), word) != 0) ++i;
        if (i < kinds)
            *out |= 1u << i;
        else if (strcmp(word, "none") != 0)
            return false;
    }
    return true;
}

static uint64_t kept_faults(const char *words) {
    uint64_t kept = 0;
    for (const char *p = words; *p;) {
        char *end;
        unsigned long i = strtoul(p, &end, 10);
        if (end == p) break;
        if (i < SIM_FAULTS_MAX) kept |= 1ull << i;
        p = *end == ',' ? end + 1 : end;
    }
    return kept;
}

/* --- telling of a plan ------------------------------------------------------------------------------------ */

static void print_bits(const char *title, uint32_t bits, uint32_t kinds, const char *(*name)(uint32_t)) {
    printf("%s", title);
    const char *gap = "";
    for (uint32_t i = 0; i < kinds; ++i)
        if (bits >> i & 1) printf("%s%s", gap, name(i)), gap = ",";
    if (*gap == '\0') printf("none");
}

static void print_plan(const plan_t *p) {
    printf("  %u validators, %u observers, evil %#x (%u twins), down after healing %#x, storm of %" PRIu64
           " ms\n",
           p->validators, p->observers, p->evil, p->twins, p->down_after_healing, p->storm_ms);
    print_bits("  lies: ", p->lies, LIE_KINDS, lie_name);
    printf("; loss %u%%, duplicates %u%%, delay %" PRIu64 "..%" PRIu64 " ms, execution %" PRIu64 " ms\n",
           p->loss_percent, p->duplicate_percent, p->delay_min_ms, p->delay_max_ms, p->execute_ms);
    for (size_t i = 0; i < p->fault_count; ++i) {
        const fault_t *f = &p->faults[i];
        if (p->dropped >> i & 1) continue;
        printf("  fault %zu: at %" PRIu64 " ms %s of %u, %" PRIu64 " ms", i, f->at_ms + 1000,
               fault_name(f->kind), f->a, f->span_ms);
        if (f->kind == FAULT_CUT || f->kind == FAULT_MUTE || f->kind == FAULT_DEAF)
            printf(", set %#x", f->mask);
        if (f->kind == FAULT_CLOG) printf(", to %u", f->b);
        if (f->amount) printf(", %" PRIu64, f->amount);
        printf("\n");
    }
}

static void print_command(const options_t *o, const plan_t *p) {
    printf("  again: ./sim/run --protocol %s --scenario %s --replay %" PRIu64, p->protocol->name,
           p->scenario->name, p->seed);
    printf(" --faults ");
    const char *gap = "";
    for (size_t i = 0; i < p->fault_count; ++i)
        if (!(p->dropped >> i & 1)) printf("%s%zu", gap, i), gap = ",";
    if (*gap == '\0') printf("none");
    if (p->without) print_bits(" --without ", p->without, WITHOUT_KINDS, without_name);
    print_bits(" --lies ", p->lies, LIE_KINDS, lie_name);
    if (p->sm2) printf(" --sm2");
    if (sim_planted) printf(" --bug %s", sim_planted);
    printf(" --verbose\n");
    (void)o;
}

static void tell_failure(const options_t *o, const report_t *r) {
    plan_t plan = {.protocol = o->campaign.protocol};
    run_result_t result;
    plan_make(&plan, o->campaign.scenario, r->seed);
    plan.sm2 = o->campaign.sm2;
    printf("FAIL %s %s seed %" PRIu64 " at revision %s\n  %s\n", plan.protocol->name, plan.scenario->name,
           r->seed, o->revision, r->result.violation);
    if (o->shrink && strcmp(r->result.law, "repeatable") != 0) {
        runner_shrink(&plan, r->result.law, 150);
        runner_one(&plan, false, &result);
        printf("  the least that fails: %s\n", result.violation);
    }
    print_plan(&plan);
    print_command(o, &plan);
    fflush(stdout);
}

/* --- running ---------------------------------------------------------------------------------------------- */

static bool each(void *ctx, const report_t *r) {
    totals_t *t = ctx;
    const run_result_t *x = &r->result;
    ++t->runs;
    t->heights += x->heights, t->acked += x->acked, t->steps += x->steps, t->evidence += x->evidence;
    if (x->views > t->views_max) t->views_max = x->views;
    if (x->ok) {
        t->recovery_sum_ms += x->recovery_ms;
        if (x->recovery_ms > t->recovery_max_ms) t->recovery_max_ms = x->recovery_ms;
        return true;
    }
    if (t->failed == 0 || r->seed < t->first_failed) t->first_failed = r->seed;
    if (++t->failed <= 5 && !t->o->json) tell_failure(t->o, r);
    return t->failed < t->o->campaign.stop_after_failures;
}

static int run_campaign(const options_t *o) {
    totals_t t = {.o = o};
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    runner_campaign(&o->campaign, each, &t);
    clock_gettime(CLOCK_MONOTONIC, &b);
    double seconds = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;
    uint64_t good = t.runs - t.failed;
    if (o->json) {
        printf("{\"protocol\":\"%s\",\"scenario\":\"%s\",\"revision\":\"%s\",\"seeds\":%" PRIu64
               ",\"failed\":%" PRIu64 ",\"first_failed\":%" PRIu64 ",\"blocks\":%" PRIu64
               ",\"acknowledged\":%" PRIu64 ",\"steps\":%" PRIu64 ",\"recovery_ms\":{\"mean\":%" PRIu64
               ",\"max\":%" PRIu64 "},\"seconds\":%.1f}\n",
               o->campaign.protocol->name, o->campaign.scenario->name, o->revision, t.runs, t.failed,
               t.first_failed, t.heights, t.acked, t.steps, good ? t.recovery_sum_ms / good : 0,
               t.recovery_max_ms, seconds);
        return t.failed > 0 || t.runs == 0;
    }
    printf("%s %s: %" PRIu64 " seeds, %" PRIu64 " failed; %" PRIu64 " blocks, %" PRIu64
           " transactions acknowledged, %" PRIu64 " steps; convergence after healing %" PRIu64
           " ms on average, %" PRIu64 " at most; highest view %" PRIu64 "; %.1f s\n",
           o->campaign.protocol->name, o->campaign.scenario->name, t.runs, t.failed, t.heights, t.acked,
           t.steps, good ? t.recovery_sum_ms / good : 0, t.recovery_max_ms, t.views_max, seconds);
    return t.failed > 0 || t.runs == 0;
}

static int run_replay(const options_t *o) {
    plan_t plan = {.protocol = o->campaign.protocol};
    run_result_t r;
    plan_make(&plan, o->campaign.scenario, o->seed);
    plan.sm2 = o->campaign.sm2;
    if (o->faults) plan.dropped = ~kept_faults(o->faults);
    uint32_t lies = plan.lies;
    if (o->lies && !bits_of(o->lies, LIE_KINDS, lie_name, &lies)) return usage("--lies has an unknown word");
    plan.lies &= lies;
    if (o->without && !bits_of(o->without, WITHOUT_KINDS, without_name, &plan.without))
        return usage("--without has an unknown word");
    print_plan(&plan);
    runner_one(&plan, o->verbose, &r);
    printf("%s seed %" PRIu64 " at revision %s: %s; %" PRIu64 " blocks, %" PRIu64
           " acknowledged, highest view %" PRIu64 ", %" PRIu64 " steps, convergence %" PRIu64
           " ms after healing, trace %016" PRIx64 "\n",
           r.ok ? "ok  " : "FAIL", o->seed, o->revision, r.ok ? "all laws hold" : r.violation, r.heights,
           r.acked, r.views, r.steps, r.recovery_ms, r.trace);
    return !r.ok;
}

/* --- planted bugs ----------------------------------------------------------------------------------------- */

typedef struct hunt {
    report_t found;
    uint64_t runs;
} hunt_t;

static bool is_found(void *ctx, const report_t *r) {
    hunt_t *h = ctx;
    ++h->runs;
    if (!r->result.ok && !h->found.result.law) h->found = *r;
    return r->result.ok;
}

/* Each planted bug must be found within its number of seeds, by one of the laws that it breaks. */
static int hunt_bugs(const options_t *o) {
    unsigned passed = 0, failed = 0;
    const bug_t *b;
    for (size_t i = 0; (b = bug_at(i)) != NULL; ++i) {
        campaign_t c = o->campaign;
        hunt_t h = {.runs = 0};
        c.protocol = protocol_find(b->protocol);
        c.scenario = scenario_find(b->scenario);
        if (!c.protocol || !c.scenario) return usage("a planted bug of an unknown protocol or scenario");
        if (o->only && strcmp(o->only, b->name) != 0 && strcmp(o->only, b->protocol) != 0) continue;
        c.first = 1, c.last = b->seeds;
        sim_planted = b->name;
        runner_campaign(&c, is_found, &h);
        bool good = h.found.result.law && strstr(b->laws, h.found.result.law) != NULL;
        passed += good, failed += !good;
        if (h.found.result.law)
            printf("%s %s (%s): found by seed %" PRIu64 ", run %" PRIu64 " of at most %" PRIu64 ": %s\n",
                   good ? "ok  " : "FAIL", b->name, b->says, h.found.seed, h.runs, b->seeds,
                   h.found.result.violation);
        else
            printf("FAIL %s (%s): not found in %" PRIu64 " seeds of %s\n", b->name, b->says, b->seeds,
                   b->scenario);
        fflush(stdout);
    }
    printf("%u passed, %u failed\n", passed, failed);
    return failed > 0 || passed == 0;
}

static bool read_seeds(const char *text, campaign_t *c) {
    return sscanf(text, "%" SCNu64 "..%" SCNu64, &c->first, &c->last) == 2 && c->first <= c->last;
}

int main(int argc, char **argv) {
    static const struct option known[] = {
        {"seeds", 1, NULL, 's'},     {"protocol", 1, NULL, 'p'},   {"scenario", 1, NULL, 'n'},
        {"replay", 1, NULL, 'r'},    {"jobs", 1, NULL, 'j'},       {"json", 0, NULL, 'J'},
        {"list", 0, NULL, 'l'},      {"faults", 1, NULL, 'f'},     {"without", 1, NULL, 'w'},
        {"lies", 1, NULL, 'L'},      {"verbose", 0, NULL, 'v'},    {"twice", 0, NULL, 't'},
        {"sm2", 0, NULL, 'm'},       {"bug", 1, NULL, 'b'},        {"revision", 1, NULL, 'R'},
        {"no-shrink", 0, NULL, 'S'}, {"stop-after", 1, NULL, 'a'}, {"bugs", 2, NULL, 'B'},
        {NULL, 0, NULL, 0}};
    options_t o = {.campaign = {.jobs = 1, .stop_after_failures = 5}, .shrink = true, .revision = "unknown"};
    o.campaign.protocol = protocol_at(0);
    o.campaign.scenario = scenario_at(0);
    bool seeds = false, bugs = false;
    for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        switch (c) {
        case 's':
            if (!(seeds = read_seeds(optarg, &o.campaign))) return usage("--seeds wants A..B");
            break;
        case 'p': o.campaign.protocol = protocol_find(optarg); break;
        case 'n': o.campaign.scenario = scenario_find(optarg); break;
        case 'r': o.replay = true, o.seed = strtoull(optarg, NULL, 10); break;
        case 'j': o.campaign.jobs = (uint32_t)strtoul(optarg, NULL, 10); break;
        case 'J': o.json = true; break;
        case 'l': return list();
        case 'f': o.faults = optarg; break;
        case 'w': o.without = optarg; break;
        case 'L': o.lies = optarg; break;
        case 'v': o.verbose = true; break;
        case 't': o.campaign.twice = true; break;
        case 'm': o.campaign.sm2 = true; break;
        case 'b': sim_planted = optarg; break;
        case 'B': bugs = true, o.only = optarg; break;
        case 'R': o.revision = optarg; break;
        case 'S': o.shrink = false; break;
        case 'a': o.campaign.stop_after_failures = strtoull(optarg, NULL, 10); break;
        default: return usage("unknown option");
        }
    }
    if (!o.campaign.protocol || !o.campaign.scenario)
        return usage("unknown protocol or scenario: see --list");
#ifndef RIDGE_SIM_BUGS
    if (sim_planted || bugs)
        return usage("--bug and --bugs need the program with planted bugs: sim/run builds it");
#endif
    if (bugs) return hunt_bugs(&o);
    if (o.replay) return run_replay(&o);
    return seeds ? run_campaign(&o) : usage("nothing to do");
}
