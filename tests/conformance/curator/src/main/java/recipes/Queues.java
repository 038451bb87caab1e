package recipes;

import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.recipes.queue.DistributedQueue;
import org.apache.curator.framework.recipes.queue.QueueBuilder;
import org.apache.curator.framework.recipes.queue.QueueConsumer;
import org.apache.curator.framework.recipes.queue.QueueSerializer;
import org.apache.curator.framework.state.ConnectionState;

/** A queue with a lock gives out each message, once unless a connection is lost meanwhile. */
final class Queues {
    private static final int CONSUMERS = 2;
    private static final int PRODUCERS = 2;

    private Queues() {
    }

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("queue", Queues::queue);
    }

    private static final QueueSerializer<String> TEXT = new QueueSerializer<String>() {
        @Override
        public byte[] serialize(String message) {
            return Lab.bytes(message);
        }

        @Override
        public String deserialize(byte[] bytes) {
            return Lab.text(bytes);
        }
    };

    private static void queue(Lab lab) throws Exception {
        String path = lab.path("queue");
        Map<String, AtomicInteger> received = new ConcurrentHashMap<>();
        for (int i = 0; i < CONSUMERS; i++) {
            QueueConsumer<String> consumer = new QueueConsumer<String>() {
                @Override
                public void consumeMessage(String message) {
                    received.computeIfAbsent(message, key -> new AtomicInteger()).incrementAndGet();
                }

                @Override
                public void stateChanged(CuratorFramework client, ConnectionState state) {
                    // The lab looks after lost sessions.
                }
            };
            builder(lab, consumer, path).buildQueue().start();
        }
        Set<String> sent = ConcurrentHashMap.newKeySet();
        for (int i = 0; i < PRODUCERS; i++) {
            DistributedQueue<String> queue = builder(lab, null, path).buildQueue();
            queue.start();
            String name = "message " + i + ".";
            AtomicInteger number = new AtomicInteger();
            lab.work("producer " + i, l -> {
                String message = name + number.incrementAndGet();
                sent.add(message);
                queue.put(message);
                Lab.check(queue.flushPuts(Lab.PATIENCE_SECONDS, TimeUnit.SECONDS), "a message is put");
                Lab.await("it is received", () -> received.containsKey(message));
            });
        }
        lab.underFire();
        Lab.await("every message is received", () -> received.keySet().containsAll(sent));
        Lab.same(new TreeSet<>(sent), new TreeSet<>(received.keySet()), "messages");
        int again = received.values().stream().mapToInt(times -> times.get() - 1).sum();
        lab.measure("messages=" + sent.size() + " again=" + again);
        Lab.check(again <= 2 * lab.disconnections.get(), again + " messages came again, and only " + lab.disconnections + " connections were lost");
        CuratorFramework observer = lab.client();
        Lab.await("nothing is left", () -> observer.getChildren().forPath(path).isEmpty());
    }

    private static QueueBuilder<String> builder(Lab lab, QueueConsumer<String> consumer, String path) throws Exception {
        return QueueBuilder.builder(lab.client(), consumer, TEXT, path).lockPath(path + "-locks");
    }
}
