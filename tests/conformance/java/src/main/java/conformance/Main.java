package conformance;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/**
 * Runs scenarios by name and says for each, on a line of its own, how it went:
 *
 * <pre>
 *   {@literal @}result NAME ok
 *   {@literal @}result NAME failed REASON
 *   {@literal @}ask REQUEST        the harness does it and answers with a line, "done" or why not
 *   {@literal @}measure NAME key=value ...
 * </pre>
 *
 * Everything else on the output is the libraries' own talk. Arguments: ZooKeeper's address, the root there, the broker's
 * address, how many scenarios may run at a time, then the scenarios' names. Exit code 0 when all went well, 1 when one did not, 2 when the
 * arguments make no sense.
 */
public final class Main {
    private static final Map<String, Scenario> SCENARIOS = new LinkedHashMap<>();

    static {
        Sending.register(SCENARIOS);
        Groups.register(SCENARIOS);
        Contents.register(SCENARIOS);
        Positions.register(SCENARIOS);
        Refusals.register(SCENARIOS);
        Restarts.register(SCENARIOS);
        Latency.register(SCENARIOS);
        Turns.register(SCENARIOS);
        Guards.register(SCENARIOS);
        Brokers.register(SCENARIOS);
        registerIfBuilt("Browsing");
        registerIfBuilt("Filtering");
    }

    private Main() {
    }

    /** What the client of this build cannot do was left out of it. */
    private static void registerIfBuilt(String kind) {
        try {
            Class.forName("conformance." + kind).getDeclaredMethod("register", Map.class).invoke(null, SCENARIOS);
        } catch (ClassNotFoundException leftOut) {
            // Whoever asks for one of its scenarios is told that there is none.
        } catch (ReflectiveOperationException broken) {
            throw new IllegalStateException(broken);
        }
    }

    public static void main(String[] arguments) throws Exception {
        if (arguments.length < 5) {
            System.err.println("usage: Main ZOOKEEPER ZKROOT BROKER AT-A-TIME SCENARIO[:ARGUMENT]...");
            System.err.println("scenarios: " + SCENARIOS.keySet());
            System.exit(2);
        }
        Harness harness = new Harness();
        ExecutorService threads = Executors.newFixedThreadPool(Integer.parseInt(arguments[3]));
        List<Future<Boolean>> results = new ArrayList<>();
        for (int i = 4; i < arguments.length; i++) {
            String[] parts = arguments[i].split(":", 2);
            Scenario scenario = SCENARIOS.get(parts[0]);
            if (scenario == null) {
                System.err.println("no scenario " + parts[0] + "; there are " + SCENARIOS.keySet());
                System.exit(2);
            }
            Lab lab = new Lab(arguments[0], arguments[1], arguments[2], parts[0], parts.length > 1 ? parts[1] : "", harness);
            results.add(threads.submit(() -> attempt(scenario, lab, harness)));
        }
        boolean allWell = true;
        for (Future<Boolean> result : results) {
            allWell &= result.get();
        }
        // The client leaves threads behind that are not daemons.
        System.exit(allWell ? 0 : 1);
    }

    private static boolean attempt(Scenario scenario, Lab lab, Harness harness) {
        long start = System.nanoTime();
        String outcome;
        try {
            scenario.run(lab);
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
