package conformance;

import com.taobao.metamorphosis.client.consumer.MessageConsumer;
import com.taobao.metamorphosis.client.extension.MetaBroadcastMessageSessionFactory;
import com.taobao.metamorphosis.client.producer.MessageProducer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/** Who reads which partition. */
final class Groups {
    private Groups() {
    }

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("two-share-four", Groups::twoShareFour);
        scenarios.put("more-consumers-than-partitions", Groups::moreConsumersThanPartitions);
        scenarios.put("take-over", Groups::takeOver);
        scenarios.put("several-groups", Groups::severalGroups);
        scenarios.put("broadcast", Groups::broadcast);
    }

    /**
     * Consumers of one group, a new one each time the group has settled. Where they come at once the client may lose its connection
     * for good: balanced again while it still connects, it closes the connection and takes itself for connected, whatever
     * the broker does (clients up to 1.4.6.2; docs/compatibility.md).
     */
    private static List<MessageConsumer> join(
            Lab lab, MessageProducer producer, String topic, List<Inbox> inboxes) throws Exception {
        int partitions = lab.partitions(topic).size();
        List<MessageConsumer> consumers = new ArrayList<>();
        for (Inbox inbox : inboxes) {
            consumers.add(lab.consume(lab.group("g"), topic, inbox));
            settle(producer, topic, partitions, inboxes.subList(0, consumers.size()));
        }
        return consumers;
    }

    /** Sends rounds of one message a partition until all partitions are shared out evenly. */
    private static void settle(MessageProducer producer, String topic, int partitions, List<Inbox> inboxes) throws Exception {
        int[] shares = new int[inboxes.size()];
        for (int i = 0; i < partitions; i++) {
            shares[shares.length - 1 - i % shares.length]++;
        }
        long end = System.nanoTime() + 60_000_000_000L;
        for (int round = 0;; round++) {
            int[] before = inboxes.stream().mapToInt(Inbox::count).toArray();
            int total = Arrays.stream(before).sum();
            for (int i = 0; i < partitions; i++) {
                Lab.send(producer, topic, "settle " + inboxes.size() + "." + round + "." + i);
            }
            int expected = total + partitions;
            Lab.await("a round of messages", 30, () -> inboxes.stream().mapToInt(Inbox::count).sum() >= expected);
            int[] got = new int[inboxes.size()];
            for (int i = 0; i < got.length; i++) {
                got[i] = inboxes.get(i).count() - before[i];
            }
            int[] sorted = got.clone();
            Arrays.sort(sorted);
            if (Arrays.equals(sorted, shares)) {
                return;
            }
            Lab.check(System.nanoTime() < end, "the group does not settle: " + Arrays.toString(got));
            Thread.sleep(200);
        }
    }

    private static void twoShareFour(Lab lab) throws Exception {
        MessageProducer producer = lab.producer("shared");
        List<Inbox> inboxes = List.of(new Inbox(), new Inbox());
        join(lab, producer, "shared", inboxes);
        int share = 5 * lab.partitions("shared").size();
        int[] before = {inboxes.get(0).count(), inboxes.get(1).count()};
        Set<String> expected = new TreeSet<>();
        for (int i = 0; i < 2 * share; i++) {
            expected.add("shared " + i);
            Lab.send(producer, "shared", "shared " + i);
        }
        Lab.await(2 * share + " messages", 20, () -> inboxes.get(0).count() + inboxes.get(1).count() >= before[0] + before[1] + 2 * share);
        List<String> received = new ArrayList<>();
        for (int i = 0; i < 2; i++) {
            List<String> texts = inboxes.get(i).texts();
            received.addAll(texts.subList(before[i], texts.size()));
            Lab.same(share, texts.size() - before[i], "messages of consumer " + i);
        }
        Lab.same(2 * share, received.size(), "messages received");
        Lab.same(expected, new TreeSet<>(received), "messages");
    }

    private static void moreConsumersThanPartitions(Lab lab) throws Exception {
        MessageProducer producer = lab.producer("idle");
        List<Inbox> inboxes = new ArrayList<>();
        for (int i = 0; i <= lab.partitions("idle").size(); i++) {
            inboxes.add(new Inbox());
        }
        join(lab, producer, "idle", inboxes);
    }

    private static void takeOver(Lab lab) throws Exception {
        MessageProducer producer = lab.producer("takeover");
        List<Inbox> inboxes = List.of(new Inbox(), new Inbox());
        List<MessageConsumer> consumers = join(lab, producer, "takeover", inboxes);
        consumers.get(0).shutdown();
        int left = inboxes.get(0).count();
        Set<String> expected = new HashSet<>();
        for (int i = 0; i < 20; i++) {
            expected.add("after " + i);
            Lab.send(producer, "takeover", "after " + i);
        }
        Lab.await("the rest takes over", 40, () -> inboxes.get(1).texts().containsAll(expected));
        Lab.same(left, inboxes.get(0).count(), "messages to the consumer that left");
    }

    private static void severalGroups(Lab lab) throws Exception {
        MessageProducer producer = lab.producer("groups");
        List<Inbox> inboxes = List.of(new Inbox(), new Inbox(), new Inbox());
        for (int i = 0; i < inboxes.size(); i++) {
            lab.consume(lab.group("g" + i), "groups", inboxes.get(i));
        }
        Set<String> expected = new HashSet<>();
        for (int i = 0; i < 40; i++) {
            expected.add("groups " + i);
            Lab.send(producer, "groups", "groups " + i);
        }
        for (Inbox inbox : inboxes) {
            inbox.await(40, 30);
            Lab.same(expected, new HashSet<>(inbox.texts()), "messages of each group");
            Lab.same(40, inbox.count(), "messages of each group");
            Lab.same(lab.names("groups"), inbox.partitions(), "partitions of each group");
        }
    }

    /** A broadcast consumer reads everything and keeps its offsets in its own home, not in ZooKeeper. */
    private static void broadcast(Lab lab) throws Exception {
        MessageProducer producer = lab.producer("broadcast");
        Inbox broadcast = new Inbox();
        Inbox plain = new Inbox();
        String group = lab.group("g");
        MetaBroadcastMessageSessionFactory factory = lab.keep(new MetaBroadcastMessageSessionFactory(lab.config()));
        MessageConsumer consumer = factory.createBroadcastConsumer(lab.consumerConfig(group));
        consumer.subscribe("broadcast", Lab.FETCH_BYTES, broadcast);
        consumer.completeSubscribe();
        lab.consume(group, "broadcast", plain);
        for (int i = 0; i < 20; i++) {
            Lab.send(producer, "broadcast", "broadcast " + i);
        }
        broadcast.await(20, 30);
        plain.await(20, 30);
        Lab.same(new TreeSet<>(plain.texts()), new TreeSet<>(broadcast.texts()), "messages");
        java.io.File offsets = new java.io.File(System.getProperty("user.home"), ".meta_offsets");
        Lab.await("offsets in " + offsets, 20, () -> offsets.length() > 0);
    }
}
