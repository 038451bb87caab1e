package recipes;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/**
 * Runs scenarios by name, all at a time, and says for each, on a line of its own, how it went:
 *
 * <pre>
 *   {@literal @}result NAME ok
 *   {@literal @}result NAME failed REASON
 *   {@literal @}ask REQUEST        the harness does it and answers with a line, "done" or why not
 *   {@literal @}measure NAME key=value ...
 * </pre>
 *
 * Everything else on the output is the libraries' own talk. Arguments: the servers' addresses, then the scenarios' names, each with what
 * shall befall the servers meanwhile. Exit code 0 when all went well, 1 when one did not, 2 when the arguments make no sense.
 */
public final class Main {
    private static final Map<String, Scenario> SCENARIOS = new LinkedHashMap<>();

    static {
        Leaders.register(SCENARIOS);
        Locks.register(SCENARIOS);
        Caches.register(SCENARIOS);
        Members.register(SCENARIOS);
        Barriers.register(SCENARIOS);
        Counters.register(SCENARIOS);
        Queues.register(SCENARIOS);
        Discovery.register(SCENARIOS);
        Transactions.register(SCENARIOS);
        Permissions.register(SCENARIOS);
        Plain.register(SCENARIOS);
        Watches.register(SCENARIOS);
    }

    private Main() {
    }

    public static void main(String[] arguments) throws Exception {
        if (arguments.length < 2) {
            System.err.println("usage: Main SERVER,SERVER... SCENARIO[:FAULT,FAULT...]...");
            System.err.println("scenarios: " + SCENARIOS.keySet());
            System.exit(2);
        }
        Harness harness = new Harness();
        ExecutorService threads = Executors.newCachedThreadPool();
        List<Future<Boolean>> results = new ArrayList<>();
        for (int i = 1; i < arguments.length; i++) {
            String[] parts = arguments[i].split(":", 2);
            Scenario scenario = SCENARIOS.get(parts[0]);
            if (scenario == null) {
                System.err.println("no scenario " + parts[0] + "; there are " + SCENARIOS.keySet());
                System.exit(2);
            }
            List<String> faults = parts.length > 1 ? List.of(parts[1].split(",")) : List.of();
            Lab lab = new Lab(arguments[0], parts[0], faults, harness);
            results.add(threads.submit(() -> attempt(scenario, lab, harness)));
        }
        boolean allWell = true;
        for (Future<Boolean> result : results) {
            allWell &= result.get();
        }
        System.exit(allWell ? 0 : 1);
    }

    private static boolean attempt(Scenario scenario, Lab lab, Harness harness) {
        long start = System.nanoTime();
        String outcome;
        try {
            scenario.run(lab);
            lab.finish();
            outcome = "ok";
        } catch (Throwable failure) {
            failure.printStackTrace();
            outcome = "failed " + String.valueOf(failure).replace('\n', ' ');
        }
        lab.close();
        harness.say("@time " + lab.scenario + " " + (System.nanoTime() - start) / 1_000_000 + " ms");
        harness.say("@result " + lab.scenario + " " + outcome);
        return outcome.equals("ok");
    }
}
