package conformance;

import com.taobao.metamorphosis.Message;
import com.taobao.metamorphosis.client.MessageSessionFactory;
import com.taobao.metamorphosis.client.MetaClientConfig;
import com.taobao.metamorphosis.client.MetaMessageSessionFactory;
import com.taobao.metamorphosis.client.Shutdownable;
import com.taobao.metamorphosis.client.consumer.ConsumerConfig;
import com.taobao.metamorphosis.client.consumer.MessageConsumer;
import com.taobao.metamorphosis.client.consumer.MessageListener;
import com.taobao.metamorphosis.client.producer.MessageProducer;
import com.taobao.metamorphosis.client.producer.SendResult;
import com.taobao.metamorphosis.cluster.Partition;
import com.taobao.metamorphosis.utils.ZkUtils;
import com.taobao.metamorphosis.utils.ZkUtils.ZKConfig;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import org.I0Itec.zkclient.ZkClient;

/** What one scenario works with: connections, a group of its own, and a clean-up at its end. */
final class Lab {
    /** Asked for in each get; the client's own tests use as much. */
    static final int FETCH_BYTES = 1024 * 1024;

    final String scenario;
    /** What stood behind the colon on the command line. */
    final String argument;
    final Harness harness;
    final String broker;
    final String zookeeper;
    final String zkRoot;
    private final String run = Long.toString(System.currentTimeMillis(), 36);
    private final List<Shutdownable> open = new ArrayList<>();
    private MessageSessionFactory shared;
    private ZkClient tree;

    Lab(String zookeeper, String zkRoot, String broker, String scenario, String argument, Harness harness) {
        this.zookeeper = zookeeper;
        this.zkRoot = zkRoot;
        this.broker = broker;
        this.scenario = scenario;
        this.argument = argument;
        this.harness = harness;
    }

    /** The same scenario with connections anew. */
    Lab(Lab before, String part) {
        this(before.zookeeper, before.zkRoot, before.broker, before.scenario + "-" + part, before.argument, before.harness);
    }

    /** The partitions of a topic, of all brokers. */
    List<Partition> partitions(String topic) throws Exception {
        return factory().getPartitionsForTopic(topic);
    }

    /** Their names, as ZooKeeper has them: the broker's id and the partition's number. */
    Set<String> names(String topic) throws Exception {
        return partitions(topic).stream().map(Partition::toString).collect(Collectors.toCollection(TreeSet::new));
    }

    /** A group that no other scenario and no other run uses. */
    String group(String name) {
        return scenario + "-" + name + "-" + run;
    }

    /** The positions that a group has stored, by the partition's name. */
    synchronized Map<String, Long> positions(String group, String topic) {
        if (tree == null) {
            tree = new ZkClient(zookeeper, 30_000, 30_000, new ZkUtils.StringSerializer());
        }
        String folder = zkRoot + "/consumers/" + group + "/offsets/" + topic;
        Map<String, Long> positions = new HashMap<>();
        if (tree.exists(folder)) {
            for (String name : tree.getChildren(folder)) {
                String stored = ZkUtils.readData(tree, folder + "/" + name);
                positions.put(name, Long.valueOf(stored.substring(stored.lastIndexOf('-') + 1)));
            }
        }
        return positions;
    }

    MetaClientConfig config() {
        MetaClientConfig config = new MetaClientConfig();
        ZKConfig zk = new ZKConfig();
        zk.zkConnect = zookeeper;
        zk.zkRoot = zkRoot;
        config.setZkConfig(zk);
        return config;
    }

    /** The connection this scenario's producers share. */
    synchronized MessageSessionFactory factory() throws Exception {
        if (shared == null) {
            shared = anotherFactory();
        }
        return shared;
    }

    /** A connection of its own, as another process would have. */
    MessageSessionFactory anotherFactory() throws Exception {
        return keep(new MetaMessageSessionFactory(config()));
    }

    synchronized <T extends Shutdownable> T keep(T what) {
        open.add(what);
        return what;
    }

    MessageProducer producer(String topic) throws Exception {
        // A broker that was started a moment ago may still be registering its topics, and what is published before it has is
        // found out only later, in the background.
        MessageSessionFactory factory = factory();
        await("somebody serves " + topic, 20, () -> isServed(factory, topic));
        MessageProducer producer = factory.createProducer();
        producer.publish(topic);
        return producer;
    }

    private static boolean isServed(MessageSessionFactory factory, String topic) {
        try {
            return !factory.getPartitionsForTopic(topic).isEmpty();
        } catch (org.I0Itec.zkclient.exception.ZkNoNodeException nobodyEverDid) {
            return false;
        }
    }

    /** A consumer from offset 0 whose delays are the defaults but for the offset commits, which come each second. */
    ConsumerConfig consumerConfig(String group) {
        ConsumerConfig config = new ConsumerConfig(group);
        config.setCommitOffsetPeriodInMills(1000);
        return config;
    }

    /** Subscribes with a connection of its own, as the members of a group in several processes do. */
    MessageConsumer consume(String group, String topic, MessageListener listener) throws Exception {
        return consume(consumerConfig(group), topic, listener);
    }

    MessageConsumer consume(ConsumerConfig config, String topic, MessageListener listener) throws Exception {
        MessageConsumer consumer = anotherFactory().createConsumer(config);
        consumer.subscribe(topic, FETCH_BYTES, listener);
        consumer.completeSubscribe();
        return consumer;
    }

    static SendResult send(MessageProducer producer, String topic, String text) throws Exception {
        return send(producer, new Message(topic, text.getBytes(StandardCharsets.UTF_8)));
    }

    static SendResult send(MessageProducer producer, Message message) throws Exception {
        SendResult result = producer.sendMessage(message);
        check(result.isSuccess(), "send: " + result.getErrorMessage());
        return result;
    }

    static String text(Message message) {
        return new String(message.getData(), StandardCharsets.UTF_8);
    }

    static void check(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }

    static void same(Object expected, Object found, String what) {
        if (!expected.equals(found)) {
            throw new AssertionError(what + ": expected " + brief(expected) + ", found " + brief(found));
        }
    }

    /** Waits for a condition that other threads or processes bring about. */
    static void await(String what, int seconds, Callable<Boolean> condition) throws Exception {
        long end = System.nanoTime() + seconds * 1_000_000_000L;
        while (!condition.call()) {
            check(System.nanoTime() < end, "not within " + seconds + " s: " + what);
            Thread.sleep(5);
        }
    }

    private static String brief(Object value) {
        String text = String.valueOf(value);
        return text.length() > 400 ? text.substring(0, 400) + "... (" + text.length() + " characters)" : text;
    }

    synchronized void close() {
        for (int i = open.size() - 1; i >= 0; i--) {
            try {
                open.get(i).shutdown();
            } catch (Throwable ignored) {
                // A factory in direct mode throws a null pointer here (bug 48 of the original); nothing depends on it.
            }
        }
        open.clear();
        if (tree != null) {
            tree.close();
        }
    }
}
