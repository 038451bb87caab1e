package conformance;

import com.taobao.metamorphosis.Message;
import com.taobao.metamorphosis.client.consumer.ConsumerConfig;
import com.taobao.metamorphosis.client.consumer.MessageConsumer;
import com.taobao.metamorphosis.client.consumer.MessageListener;
import com.taobao.metamorphosis.client.consumer.RejectConsumptionHandler;
import com.taobao.metamorphosis.client.extension.MetaBroadcastMessageSessionFactory;
import com.taobao.metamorphosis.client.producer.MessageProducer;
import com.taobao.metamorphosis.client.producer.PartitionSelector;
import com.taobao.metamorphosis.client.producer.SendResult;
import com.taobao.metamorphosis.cluster.Partition;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executor;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * Consumers with fewer threads than partitions that a server might do wrong by: each message is read as often as it would be
 * alone, and no position is ever beyond what was read. The topic has the scenario's name.
 */
final class Guards {
    static final int THREADS = 2;
    /** Long enough for several commits, and for every partition to have been idle and not. */
    private static final int MESSAGES = 150;
    private static final int GAP_MILLIS = 100;

    private Guards() {
    }

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("guard-manual-ack", lab -> acknowledged(lab, 1));
        scenarios.put("guard-late-ack", lab -> acknowledged(lab, 5));
        scenarios.put("guard-throwing", Guards::throwing);
        scenarios.put("guard-poison", Guards::poison);
        scenarios.put("guard-executor", Guards::executor);
        scenarios.put("guard-two-groups", Guards::twoGroups);
        scenarios.put("guard-broadcast", Guards::broadcast);
        scenarios.put("guard-own-id", Guards::ownId);
        scenarios.put("guard-kill", Guards::killed);
    }

    /** What a listener does with a message, besides counting it. */
    @FunctionalInterface
    private interface Reading {
        void read(Message message, int number, int deliveries) throws Exception;
    }

    private static MessageListener listener(Ledger ledger, Executor executor, Reading reading) {
        return new MessageListener() {
            @Override
            public void recieveMessages(Message message) {
                int number = Integer.parseInt(Lab.text(message));
                try {
                    reading.read(message, number, ledger.delivered(number));
                } catch (RuntimeException failure) {
                    throw failure;
                } catch (Exception failure) {
                    throw new IllegalStateException(failure);
                }
            }

            @Override
            public Executor getExecutor() {
                return executor;
            }
        };
    }

    /** It is read when the listener returns. */
    private static MessageListener plain(Ledger ledger) {
        return listener(ledger, null, (message, number, deliveries) -> ledger.finished(number));
    }

    private static ConsumerConfig config(Lab lab, String group) {
        ConsumerConfig config = lab.consumerConfig(group);
        config.setFetchRunnerCount(THREADS);
        return config;
    }

    /** Sends to random partitions, and notes where each message is and, until {@code over}, where the group stands. */
    static void traffic(Lab lab, String group, AtomicBoolean over, Ledger... ledgers) throws Exception {
        String topic = lab.scenario;
        Random random = new Random(7);
        // Waits until the topic is served.
        lab.producer(topic);
        MessageProducer producer = lab.factory().createProducer(new PartitionSelector() {
            @Override
            public Partition getPartition(String topic, List<Partition> partitions, Message message) {
                return partitions.get(random.nextInt(partitions.size()));
            }
        });
        producer.publish(topic);
        for (int number = 0; number < MESSAGES; number++) {
            Thread.sleep(GAP_MILLIS / 2 + random.nextInt(GAP_MILLIS));
            byte[] text = Integer.toString(number).getBytes(StandardCharsets.UTF_8);
            SendResult result = Lab.send(producer, new Message(topic, text));
            for (Ledger ledger : ledgers) {
                ledger.sent(number, result);
            }
            if (group != null && !over.get()) {
                Map<String, Long> stored = lab.positions(group, topic);
                for (Ledger ledger : ledgers) {
                    ledger.stood(stored);
                }
            }
        }
    }

    private static void awaitAll(Ledger ledger) throws Exception {
        Lab.await("all " + MESSAGES + " messages", 60, () -> ledger.deliveredNumbers() == MESSAGES);
        // What is read twice is read again after the longest delay that the client makes.
        Thread.sleep(6000);
    }

    /** A consumer alone in its group, which reads each message once. */
    private static void once(Lab lab, ConsumerConfig config, Ledger ledger, MessageListener listener) throws Exception {
        MessageConsumer consumer = lab.consume(config, lab.scenario, listener);
        traffic(lab, config.getGroup(), new AtomicBoolean(), ledger);
        awaitAll(ledger);
        ledger.stood(lab.positions(config.getGroup(), lab.scenario));
        ledger.check(MESSAGES, number -> 1);
        consumer.shutdown();
        ledger.checkEnd(lab.positions(config.getGroup(), lab.scenario));
    }

    /** Acknowledges by hand, after every so many messages of a partition. */
    private static void acknowledged(Lab lab, int every) throws Exception {
        Ledger ledger = new Ledger();
        Map<String, List<Integer>> open = new ConcurrentHashMap<>();
        once(lab, config(lab, lab.group("g")), ledger, listener(ledger, null, (message, number, deliveries) -> {
            Partition partition = message.getPartition();
            partition.setAutoAck(false);
            // One thread at a time has a partition's messages.
            List<Integer> batch = open.computeIfAbsent(partition.toString(), none -> new ArrayList<>());
            batch.add(number);
            if (batch.size() >= every) {
                batch.forEach(ledger::finished);
                batch.clear();
                partition.ack();
            }
        }));
    }

    /** Throws at the first delivery of every fifth message, which then comes once more. */
    private static void throwing(Lab lab) throws Exception {
        Ledger ledger = new Ledger();
        String group = lab.group("g");
        lab.consume(config(lab, group), lab.scenario, listener(ledger, null, (message, number, deliveries) -> {
            Lab.check(number % 5 != 0 || deliveries > 1, "thrown on purpose");
            ledger.finished(number);
        }));
        traffic(lab, group, new AtomicBoolean(), ledger);
        // With few threads its second delivery may wait until one has been at every other partition.
        Lab.await("all that was thrown comes again", 120, () -> ledger.finishedNumbers() == MESSAGES);
        awaitAll(ledger);
        ledger.check(MESSAGES, number -> number % 5 == 0 ? 2 : 1);
    }

    /** Some messages are refused always, and put aside: what was put aside does not come again. */
    private static void poison(Lab lab) throws Exception {
        Ledger ledger = new Ledger();
        String group = lab.group("g");
        ConsumerConfig config = config(lab, group);
        config.setMaxFetchRetries(1);
        Map<Integer, AtomicInteger> rejected = new ConcurrentHashMap<>();
        Set<Integer> late = ConcurrentHashMap.newKeySet();
        MessageConsumer consumer = lab.anotherFactory().createConsumer(config);
        consumer.setRejectConsumptionHandler(new RejectConsumptionHandler() {
            @Override
            public void rejectConsumption(Message message, MessageConsumer of) {
                int number = Integer.parseInt(Lab.text(message));
                rejected.computeIfAbsent(number, none -> new AtomicInteger()).incrementAndGet();
                ledger.finished(number);
            }
        });
        consumer.subscribe(lab.scenario, Lab.FETCH_BYTES, listener(ledger, null, (message, number, deliveries) -> {
            if (rejected.containsKey(number)) {
                late.add(number);
            }
            Lab.check(number % 20 != 0, "thrown on purpose");
            ledger.finished(number);
        }));
        consumer.completeSubscribe();
        traffic(lab, group, new AtomicBoolean(), ledger);
        awaitAll(ledger);
        Lab.await("all that is refused was put aside", 30, () -> rejected.size() == (MESSAGES + 19) / 20);
        // How often such a message is tried hangs on what comes with it.
        ledger.check(MESSAGES, number -> number % 20 == 0 ? ledger.deliveries(number) : 1);
        Lab.same(Set.of(), late, "messages that came after they were put aside");
        rejected.forEach((number, times) -> Lab.same(1, times.get(), "how often message " + number + " was put aside"));
    }

    private static void executor(Lab lab) throws Exception {
        ExecutorService threads = Executors.newFixedThreadPool(3);
        Ledger ledger = new Ledger();
        try {
            once(lab, config(lab, lab.group("g")), ledger, listener(ledger, threads, (message, number, deliveries) -> {
                Thread.sleep(number % 7 * 10);
                ledger.finished(number);
            }));
        } finally {
            threads.shutdown();
        }
    }

    private static void twoGroups(Lab lab) throws Exception {
        List<Ledger> ledgers = List.of(new Ledger(), new Ledger());
        for (int i = 0; i < 2; i++) {
            lab.consume(config(lab, lab.group("g" + i)), lab.scenario, plain(ledgers.get(i)));
        }
        traffic(lab, null, new AtomicBoolean(), ledgers.get(0), ledgers.get(1));
        for (int i = 0; i < 2; i++) {
            Ledger ledger = ledgers.get(i);
            awaitAll(ledger);
            ledger.stood(lab.positions(lab.group("g" + i), lab.scenario));
            ledger.check(MESSAGES, number -> 1);
        }
    }

    /** Keeps its positions in its own home. */
    private static void broadcast(Lab lab) throws Exception {
        Ledger ledger = new Ledger();
        MetaBroadcastMessageSessionFactory factory = lab.keep(new MetaBroadcastMessageSessionFactory(lab.config()));
        MessageConsumer consumer = factory.createBroadcastConsumer(config(lab, lab.group("g")));
        consumer.subscribe(lab.scenario, Lab.FETCH_BYTES, plain(ledger));
        consumer.completeSubscribe();
        traffic(lab, null, new AtomicBoolean(), ledger);
        awaitAll(ledger);
        ledger.check(MESSAGES, number -> 1);
    }

    private static void ownId(Lab lab) throws Exception {
        Ledger ledger = new Ledger();
        ConsumerConfig config = config(lab, lab.group("g"));
        config.setConsumerId(lab.group("own"));
        once(lab, config, ledger, plain(ledger));
    }

    /** A consumer in a JVM of its own dies in the middle, and another goes on. */
    private static void killed(Lab lab) throws Exception {
        String group = lab.group("g");
        Ledger ledger = new Ledger();
        AtomicBoolean dead = new AtomicBoolean();
        Throwable[] failure = new Throwable[1];
        Reader first = Reader.start(lab, group);
        Reader second = null;
        try {
            Thread sender = new Thread(() -> {
                try {
                    traffic(lab, group, dead, ledger);
                } catch (Throwable broken) {
                    failure[0] = broken;
                }
            });
            sender.start();
            Lab.await("half the messages", 60, () -> failure[0] != null || first.numbers().size() >= MESSAGES / 2);
            first.kill();
            long death = System.nanoTime();
            dead.set(true);
            Map<String, Long> left = lab.positions(group, lab.scenario);
            Reader successor = Reader.start(lab, group);
            second = successor;
            sender.join();
            Lab.check(failure[0] == null, "send: " + failure[0]);
            Lab.await("the rest", 90, () -> first.numbers().size() + successor.numbers().stream().filter(number -> !first.numbers().contains(number)).count() == MESSAGES);
            Lab.same(Map.of(), first.twice(), "read twice before the death");
            Lab.same(Map.of(), successor.twice(), "read twice after it");
            Reader.checkDeath(first, successor, ledger, left, death);
        } finally {
            first.kill();
            if (second != null) {
                second.kill();
            }
        }
    }
}
