package conformance;

import com.taobao.metamorphosis.client.consumer.ConsumerConfig;
import com.taobao.metamorphosis.client.producer.MessageProducer;
import java.util.Arrays;
import java.util.Map;
import java.util.Random;

/**
 * From just before a send to the listener's call, default settings, in one process. The argument is
 * {@code TOPIC,INTERVAL-MS,COUNT,LIMIT-P50-MS,LIMIT-MAX-MS}; a limit of 0 is none.
 */
final class Latency {
    private Latency() {
    }

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("latency", Latency::latency);
    }

    private static void latency(Lab lab) throws Exception {
        String[] parts = lab.argument.split(",");
        String topic = parts[0];
        long interval = Long.parseLong(parts[1]);
        int count = Integer.parseInt(parts[2]);
        MessageProducer producer = lab.producer(topic);
        Inbox inbox = new Inbox();
        lab.consume(new ConsumerConfig(lab.group("g")), topic, inbox);
        // Warm: one message in each partition, so that classes are loaded and the group has settled.
        for (int i = 0; i < 20; i++) {
            Lab.send(producer, topic, "warm " + i);
            Thread.sleep(20);
        }
        inbox.await(20, 60);
        Random random = new Random(11);
        double[] millis = new double[count];
        double[] sends = new double[count];
        for (int i = 0; i < count; i++) {
            // Never in step with the client's or the server's own timers.
            Thread.sleep(interval / 2 + random.nextInt((int) interval));
            int before = inbox.count();
            long start = System.nanoTime();
            Lab.send(producer, topic, "timed " + i);
            sends[i] = (System.nanoTime() - start) / 1e6;
            inbox.await(before + 1, 60);
            millis[i] = (inbox.arrival(before) - start) / 1e6;
        }
        double[] sorted = millis.clone();
        Arrays.sort(sorted);
        Arrays.sort(sends);
        double p50 = sorted[count / 2];
        double p99 = sorted[Math.min(count - 1, count * 99 / 100)];
        double max = sorted[count - 1];
        lab.harness.say(String.format("@measure %s topic=%s interval_ms=%d count=%d p50_ms=%.2f p99_ms=%.2f max_ms=%.2f send_p50_ms=%.2f threads=%d",
                lab.scenario, topic, interval, count, p50, p99, max, sends[count / 2], Runtime.getRuntime().availableProcessors()));
        double limit50 = Double.parseDouble(parts[3]);
        double limitMax = Double.parseDouble(parts[4]);
        Lab.check(limit50 == 0 || p50 <= limit50, "p50 is " + p50 + " ms, over " + limit50);
        Lab.check(limitMax == 0 || max <= limitMax, "the slowest took " + max + " ms, over " + limitMax + ": " + Arrays.toString(millis));
    }
}
