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
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.data.Stat;

/**
 * A queue with locks gives out each message, once unless a connection is lost meanwhile. A consumer whose connection is lost while it locks a
 * message sends that again, finds its own lock, and takes it for another's: until its session ends nobody gets that message, whatever the
 * servers do. Such locks are taken away here, and counted.
 */
final class Queues {
    private static final int CONSUMERS = 2;
    private static final int PRODUCERS = 2;
    /** No consumer takes so long for a message. */
    private static final int LEFT_MILLIS = 4000;

    private static final String LOCKS = "-locks";

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
        CuratorFramework observer = lab.client();
        AtomicInteger left = new AtomicInteger();
        Set<String> sent = ConcurrentHashMap.newKeySet();
        for (int i = 0; i < PRODUCERS; i++) {
            DistributedQueue<String> queue = builder(lab, null, path).buildQueue();
            queue.start();
            String name = "message " + i + ".";
            AtomicInteger number = new AtomicInteger();
            lab.work("producer " + i, l -> {
                String message = put(queue, name + number.incrementAndGet(), sent);
                long[] since = {System.nanoTime()};
                Lab.await("it is received", () -> {
                    if (!received.containsKey(message) && System.nanoTime() - since[0] > LEFT_MILLIS * 1_000_000L) {
                        left.addAndGet(takeAwayLocks(observer, path + LOCKS));
                        // A consumer looks again when there is another message.
                        put(queue, name + number.incrementAndGet(), sent);
                        since[0] = System.nanoTime();
                    }
                    return received.containsKey(message);
                });
            });
        }
        lab.underFire();
        Lab.await("every message is received", () -> received.keySet().containsAll(sent));
        Lab.same(new TreeSet<>(sent), new TreeSet<>(received.keySet()), "messages");
        int again = received.values().stream().mapToInt(times -> times.get() - 1).sum();
        lab.measure("messages=" + sent.size() + " again=" + again + " locks-left=" + left);
        int most = 2 * lab.disconnections.get();
        Lab.check(again <= most, again + " messages came again, and only " + lab.disconnections + " connections were lost");
        Lab.check(left.get() <= most, left + " locks were left, and only " + lab.disconnections + " connections were lost");
        Lab.await("nothing is left", () -> observer.getChildren().forPath(path).isEmpty());
    }

    private static String put(DistributedQueue<String> queue, String message, Set<String> sent) throws Exception {
        sent.add(message);
        queue.put(message);
        Lab.check(queue.flushPuts(Lab.PATIENCE_SECONDS, TimeUnit.SECONDS), "a message is put");
        return message;
    }

    private static int takeAwayLocks(CuratorFramework client, String folder) throws Exception {
        int count = 0;
        for (String name : client.getChildren().forPath(folder)) {
            Stat lock = client.checkExists().forPath(folder + "/" + name);
            if (lock != null && lock.getCtime() < System.currentTimeMillis() - LEFT_MILLIS) {
                try {
                    client.delete().forPath(folder + "/" + name);
                } catch (KeeperException.NoNodeException gone) {
                    // It was held after all, or this was sent again.
                }
                count++;
            }
        }
        return count;
    }

    private static QueueBuilder<String> builder(Lab lab, QueueConsumer<String> consumer, String path) throws Exception {
        return QueueBuilder.builder(lab.client(), consumer, TEXT, path).lockPath(path + LOCKS);
    }
}
