package conformance;

import com.taobao.metamorphosis.Message;
import com.taobao.metamorphosis.client.producer.MessageProducer;
import com.taobao.metamorphosis.client.producer.SendResult;
import java.nio.charset.StandardCharsets;
import java.util.HashSet;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;

/** The server goes away in the middle. */
final class Restarts {
    private Restarts() {
    }

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("restart-while-sending", lab -> interrupted(lab, "restart"));
        scenarios.put("kill-while-sending", lab -> interrupted(lab, "kill"));
    }

    /** What was reported as sent is received, in spite of an orderly restart, or of a kill, in the middle. */
    private static void interrupted(Lab lab, String how) throws Exception {
        MessageProducer producer = lab.producer("restart");
        Inbox inbox = new Inbox();
        lab.consume(lab.group("g"), "restart", inbox);
        // Where each message that was reported as sent lies.
        Map<String, String> successes = new ConcurrentHashMap<>();
        AtomicBoolean stop = new AtomicBoolean();
        AtomicInteger failures = new AtomicInteger();
        AtomicInteger attempts = new AtomicInteger();
        Thread[] senders = new Thread[4];
        for (int i = 0; i < senders.length; i++) {
            int sender = i;
            senders[i] = new Thread(() -> {
                for (int n = 0; !stop.get(); n++) {
                    String text = how + " " + sender + "." + n;
                    attempts.incrementAndGet();
                    try {
                        SendResult result = producer.sendMessage(new Message("restart", text.getBytes(StandardCharsets.UTF_8)));
                        if (result.isSuccess()) {
                            successes.put(text, result.getPartition() + " at " + result.getOffset());
                            Thread.sleep(1);
                            continue;
                        }
                    } catch (Exception whileAway) {
                        // Nothing is promised for this one.
                    }
                    failures.incrementAndGet();
                    try {
                        Thread.sleep(100);
                    } catch (InterruptedException end) {
                        return;
                    }
                }
            });
            senders[i].start();
        }
        try {
            Lab.await("some messages before", 20, () -> successes.size() > 200);
            lab.harness.ask(how);
            int back = successes.size();
            Lab.await("some messages after", 60, () -> successes.size() > back + 200);
        } finally {
            stop.set(true);
            for (Thread sender : senders) {
                sender.join();
            }
        }
        try {
            Lab.await("every message that was reported as sent", 60, () -> inbox.count() >= successes.size() && missing(successes, inbox).isEmpty());
        } catch (AssertionError incomplete) {
            throw new AssertionError(incomplete.getMessage() + "; missing " + missing(successes, inbox), incomplete);
        }
        lab.harness.say("@measure " + lab.scenario + " attempts=" + attempts + " successes=" + successes.size() + " failures=" + failures
                + " received=" + inbox.count());
    }

    private static Map<String, String> missing(Map<String, String> expected, Inbox inbox) {
        Map<String, String> missing = new TreeMap<>(expected);
        missing.keySet().removeAll(new HashSet<>(inbox.texts()));
        return missing;
    }
}
