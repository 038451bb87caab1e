package conformance;

import com.taobao.metamorphosis.Message;
import com.taobao.metamorphosis.client.MetaMessageSessionFactory;
import com.taobao.metamorphosis.client.consumer.ConsumerConfig;
import com.taobao.metamorphosis.client.consumer.MessageListener;
import com.taobao.metamorphosis.client.producer.MessageProducer;
import com.taobao.metamorphosis.client.producer.SendResult;
import com.taobao.metamorphosis.cluster.Partition;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executor;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Collectors;

/**
 * Several brokers, of which each goes away and comes back while clients send and read, or each of the servers that they are
 * registered in. The topic has the scenario's name.
 *
 * <p>One group has a single consumer with fewer threads than partitions; the other has two, in processes of their own, which share.
 */
final class Brokers {
    private static final int SENDERS = 3;
    private static final int PAUSE_MILLIS = 20;
    /** As many acknowledged messages show that sending goes on. */
    private static final int SOME = 100;
    /** How long after the last refusal sending is called undisturbed. */
    private static final long CALM_NANOS = 3_000_000_000L;
    /** A dead server's session lasts four seconds; an election and a busy machine may come on top. */
    private static final long GIVEN_UP_MILLIS = 30_000;
    /** No send takes longer than the client waits for an answer; a busy machine may take as long again. */
    private static final long STALL_MILLIS = 10_000;
    /** Positions are committed each second, and a machine may be busy. */
    private static final long COMMITTED_NANOS = 10_000_000_000L;
    /** The client itself waits 10 s for a connection. */
    private static final long CUT_OFF_NANOS = 12_000_000_000L;
    /** The client cuts itself off about once in a hundred connections; more often it would be the servers' fault. */
    private static final int RENEWALS_MAX = 3;

    private final Lab lab;
    /** What goes away: a {@code broker}, by its id, or a {@code zookeeper}, by its place in the list. */
    private final String kind;
    private final String topic;
    private final AtomicBoolean over = new AtomicBoolean();
    private final AtomicInteger attempts = new AtomicInteger();
    private final AtomicInteger refusals = new AtomicInteger();
    /** Why the last ones were refused, and how often. */
    private final Map<String, Integer> reasons = new ConcurrentHashMap<>();
    private final AtomicLong lastRefusal = new AtomicLong(System.nanoTime());
    private final AtomicLong lastSuccess = new AtomicLong(System.nanoTime());
    private final AtomicLong longestGap = new AtomicLong();
    /** What was acknowledged, by its number. */
    private final Map<Integer, SendResult> sent = new ConcurrentHashMap<>();
    private final Alone alone = new Alone();
    private List<Reader> shared;
    private volatile Client client;
    private int renewals;

    private Brokers(Lab lab, String kind) {
        this.lab = lab;
        this.kind = kind;
        this.topic = lab.scenario;
    }

    static void register(Map<String, Scenario> scenarios) {
        for (String kind : List.of("broker", "zookeeper")) {
            scenarios.put("each-" + kind + "-killed", lab -> new Brokers(lab, kind).run());
        }
    }

    private void run() throws Exception {
        lab.producer(topic);
        client = new Client();
        Set<Integer> brokers = brokers(lab.partitions(topic));
        ConsumerConfig config = lab.consumerConfig(lab.group("alone"));
        config.setFetchRunnerCount(Guards.THREADS);
        lab.consume(config, topic, alone);
        String group = lab.group("shared");
        Reader first = Reader.start(lab, group);
        Reader second = null;
        Thread[] senders = new Thread[SENDERS];
        try {
            for (int i = 0; i < senders.length; i++) {
                senders[i] = new Thread(this::send);
                senders[i].start();
            }
            Lab.await("the first consumer reads", 60, () -> !first.numbers().isEmpty());
            // Not at once: see Groups.join.
            second = Reader.start(lab, group);
            shared = List.of(first, second);
            reached(brokers);
            caughtUp(brokers);
            List<Integer> targets = kind.equals("broker") ? new ArrayList<>(brokers) : List.of(0, 1, 2);
            for (int target : targets) {
                goAndComeBack(target, brokers);
            }
            end(senders);
            caughtUp(brokers);
        } finally {
            end(senders);
            if (shared != null) {
                tellProgress();
            }
            first.kill();
            if (second != null) {
                second.kill();
            }
        }
        judge();
    }

    private void end(Thread[] senders) throws InterruptedException {
        over.set(true);
        for (Thread sender : senders) {
            sender.join();
        }
    }

    private void goAndComeBack(int target, Set<Integer> brokers) throws Exception {
        Set<Integer> left = new TreeSet<>(brokers);
        if (kind.equals("broker")) {
            left.remove(target);
        }
        longestGap.set(0);
        reasons.clear();
        int refusedBefore = refusals.get();
        long gone = System.nanoTime();
        lab.harness.ask("kill " + kind + " " + target);
        int before = sent.size();
        int renewedBefore = renewals;
        Lab.await("sending is undisturbed", 60, () -> {
            renewWhenCutOff(left);
            return sent.size() > before + SOME && System.nanoTime() - lastRefusal.get() > CALM_NANOS;
        });
        long disturbed = Math.max(0, lastRefusal.get() - gone) / 1_000_000;
        int refused = refusals.get() - refusedBefore;
        reached(left);
        long caughtUp = caughtUp(left);
        Map<String, Integer> stoodAt = alone.counts();
        long back = System.nanoTime();
        lab.harness.ask("start " + kind + " " + target);
        reached(brokers);
        long sentAgain = (System.nanoTime() - back) / 1_000_000;
        long readAgain = caughtUp(brokers);
        lab.harness.say(String.format("@measure %s %s=%d disturbed_ms=%d refused=%d longest_gap_ms=%d left_caught_up_ms=%d sent_again_ms=%d all_caught_up_ms=%d renewals=%d",
                lab.scenario, kind, target, disturbed, refused, longestGap.get() / 1_000_000, caughtUp, sentAgain, readAgain, renewals - renewedBefore));
        Lab.check(renewals > renewedBefore || disturbed < GIVEN_UP_MILLIS, "messages were sent to a dead server for " + disturbed + " ms");
        Lab.check(renewals > renewedBefore || longestGap.get() / 1_000_000 < STALL_MILLIS, "nothing was acknowledged for " + longestGap.get() / 1_000_000 + " ms");
        for (String partition : stoodAt.keySet()) {
            // Each broker was waited for, and not each of its partitions.
            Lab.await("something from " + partition, 60, () -> alone.counts().get(partition) > stoodAt.get(partition));
        }
    }

    /** Sends until all is over; what was refused is not sent again. */
    private void send() {
        while (!over.get()) {
            int number = attempts.getAndIncrement();
            try {
                SendResult result = client.producer.sendMessage(new Message(topic, Integer.toString(number).getBytes(StandardCharsets.UTF_8)));
                if (result.isSuccess()) {
                    sent.put(number, result);
                    long now = System.nanoTime();
                    long gap = now - lastSuccess.getAndSet(now);
                    longestGap.accumulateAndGet(gap, Math::max);
                } else {
                    refused(result.getErrorMessage());
                }
                Thread.sleep(PAUSE_MILLIS);
            } catch (InterruptedException end) {
                return;
            } catch (Exception away) {
                refused(String.valueOf(away));
                pause();
            }
        }
    }

    private void refused(String reason) {
        refusals.incrementAndGet();
        reasons.merge(reason, 1, Integer::sum);
        lastRefusal.set(System.nanoTime());
    }

    private static void pause() {
        try {
            Thread.sleep(PAUSE_MILLIS);
        } catch (InterruptedException end) {
            Thread.currentThread().interrupt();
        }
    }

    /** What the senders share, as another process would have it. */
    private final class Client {
        final MetaMessageSessionFactory factory = (MetaMessageSessionFactory) lab.anotherFactory();
        final MessageProducer producer = factory.createProducer();
        /** Since when it has been seen without a connection to a broker that it knows; 0 if it has all. */
        private long cutOff;

        Client() throws Exception {
            producer.publish(topic);
        }

        /** Whether it has lacked a connection to one of these brokers for so long that it will not get it. */
        boolean isCutOff(Set<Integer> brokers) {
            long now = System.nanoTime();
            if (brokers.stream().noneMatch(broker -> connections(broker) == 0)) {
                cutOff = 0;
            } else if (cutOff == 0) {
                cutOff = now;
            }
            return cutOff != 0 && now - cutOff > CUT_OFF_NANOS;
        }

        /** How many connections it has to a broker; -1 if it sends nothing there. */
        int connections(int broker) {
            String address = factory.getProducerZooKeeper().selectBroker(topic, new Partition(broker, 0));
            return address == null ? -1 : factory.getRemotingClient().getConnectionCount(address);
        }
    }

    /**
     * A client that connects anew at each change may take a connection for one too many and close it for good, whatever the broker does
     * (gecko 1.1.4; docs/compatibility.md). An operator starts its process anew, and that is what is done here: if it was the
     * brokers' fault, the next one does not reach them either.
     */
    private void renewWhenCutOff(Set<Integer> brokers) throws Exception {
        if (client.isCutOff(brokers)) {
            renewals++;
            Lab.check(renewals <= RENEWALS_MAX, "clients are cut off too often");
            client = new Client();
        }
    }

    private static Set<Integer> brokers(Collection<Partition> partitions) {
        return partitions.stream().map(Partition::getBrokerId).collect(Collectors.toCollection(TreeSet::new));
    }

    /** Until each of these brokers has acknowledged a message that was sent from now on. */
    private void reached(Set<Integer> brokers) throws Exception {
        int from = attempts.get();
        Lab.await("messages to " + brokers, 60, () -> {
            renewWhenCutOff(brokers);
            Set<Integer> met = new TreeSet<>();
            sent.forEach((number, result) -> {
                if (number >= from) {
                    met.add(result.getPartition().getBrokerId());
                }
            });
            Thread.sleep(20);
            return met.containsAll(brokers);
        });
    }

    /** Until both groups have read all that these brokers have acknowledged until now. Returns the milliseconds. */
    private long caughtUp(Set<Integer> brokers) throws Exception {
        long start = System.nanoTime();
        Set<Integer> expected = new TreeSet<>();
        sent.forEach((number, result) -> {
            if (brokers.contains(result.getPartition().getBrokerId())) {
                expected.add(number);
            }
        });
        Lab.await("what was acknowledged by " + brokers + " is read by one consumer", 90, () -> missing(expected, alone.numbers()).isEmpty());
        Lab.await("what was acknowledged by " + brokers + " is read by two", 90, () -> missing(expected, sharedNumbers()).isEmpty());
        return (System.nanoTime() - start) / 1_000_000;
    }

    private Set<Integer> missing(Set<Integer> expected, Set<Integer> read) throws InterruptedException {
        Set<Integer> missing = new TreeSet<>(expected);
        missing.removeAll(read);
        Thread.sleep(100);
        return missing;
    }

    private Set<Integer> sharedNumbers() {
        Set<Integer> numbers = new TreeSet<>();
        shared.forEach(reader -> numbers.addAll(reader.numbers()));
        return numbers;
    }

    /** What did not come, why, and which connections the client has, in case that something has failed. */
    private void tellProgress() throws Exception {
        lab.harness.say("@measure " + lab.scenario + " attempts=" + attempts + " acknowledged=" + sent.size() + " refused=" + refusals);
        System.err.println("not read yet: " + missing(sent.keySet(), alone.numbers()) + " and " + missing(sent.keySet(), sharedNumbers()));
        System.err.println("refused since the last server went: " + reasons);
        for (int broker : brokers(lab.partitions(topic))) {
            System.err.println("connections to broker " + broker + ": " + client.connections(broker));
        }
    }

    private void judge() throws Exception {
        List<Integer> twice = new ArrayList<>();
        alone.times.forEach((number, times) -> {
            if (times.get() > 1) {
                twice.add(number);
            }
        });
        Lab.same(List.of(), twice, "messages that one consumer read twice");
        Map<String, TreeMap<Long, Integer>> places = new HashMap<>();
        sent.forEach((number, result) -> places.computeIfAbsent(result.getPartition().toString(), none -> new TreeMap<>()).put(result.getOffset(), number));
        for (Map.Entry<String, TreeMap<Long, Integer>> partition : places.entrySet()) {
            List<Integer> inOrder = new ArrayList<>(partition.getValue().values());
            List<Integer> read = alone.read(partition.getKey());
            read.retainAll(sent.keySet());
            Lab.same(inOrder, read, "messages of " + partition.getKey() + ", in order");
        }
        judgeShared();
    }

    /**
     * No process reads a message twice. Where a partition goes from one to the other, what was read and not committed yet may be read
     * again: that is no more than lies between two commits.
     */
    private void judgeShared() throws Exception {
        Map<Integer, List<Long>> first = shared.get(0).read();
        Map<Integer, List<Long>> second = shared.get(1).read();
        Lab.same(Map.of(), shared.get(0).twice(), "messages that a process read twice");
        Lab.same(Map.of(), shared.get(1).twice(), "messages that a process read twice");
        int again = 0;
        for (Map.Entry<Integer, List<Long>> message : first.entrySet()) {
            List<Long> other = second.get(message.getKey());
            if (other != null) {
                again++;
                long apart = Math.abs(other.get(0) - message.getValue().get(0));
                Lab.check(apart < COMMITTED_NANOS, "message " + message.getKey() + " was read again after " + apart / 1_000_000 + " ms");
            }
        }
        lab.harness.say("@measure " + lab.scenario + " read_again_by_the_other=" + again + " of=" + sent.size());
    }

    /** What came to the consumer that is alone in its group. */
    private static final class Alone implements MessageListener {
        private final Map<Integer, AtomicInteger> times = new ConcurrentHashMap<>();
        private final Map<String, List<Integer>> inOrder = new ConcurrentHashMap<>();

        @Override
        public void recieveMessages(Message message) {
            int number = Integer.parseInt(Lab.text(message));
            times.computeIfAbsent(number, none -> new AtomicInteger()).incrementAndGet();
            List<Integer> read = inOrder.computeIfAbsent(message.getPartition().toString(), none -> new ArrayList<>());
            synchronized (read) {
                read.add(number);
            }
        }

        @Override
        public Executor getExecutor() {
            return null;
        }

        Set<Integer> numbers() {
            return times.keySet();
        }

        List<Integer> read(String partition) {
            List<Integer> read = inOrder.getOrDefault(partition, List.of());
            synchronized (read) {
                return new ArrayList<>(read);
            }
        }

        Map<String, Integer> counts() {
            Map<String, Integer> counts = new TreeMap<>();
            inOrder.keySet().forEach(partition -> counts.put(partition, read(partition).size()));
            return counts;
        }
    }
}
