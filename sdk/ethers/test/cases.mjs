// A small runner whose closing line ./test reads. Each case has a name and is a function; a case that throws fails.
const cases = [];

export function test(name, run) {
    cases.push({ name, run });
}

export async function main() {
    let failed = 0;
    for (const { name, run } of cases) {
        const begin = Date.now();
        try {
            await run();
            console.log(`ok   ${name} (${Date.now() - begin} ms)`);
        } catch (error) {
            failed++;
            console.log(`FAIL ${name}: ${error?.stack ?? error}`);
        }
    }
    console.log(`${cases.length - failed} passed, ${failed} failed`);
    process.exit(failed ? 1 : 0);
}
