package conformance;

import com.taobao.metamorphosis.Message;
import com.taobao.metamorphosis.client.MetaClientConfig;
import com.taobao.metamorphosis.client.MetaMessageSessionFactory;
import com.taobao.metamorphosis.client.producer.MessageProducer;
import com.taobao.metamorphosis.client.producer.SendMessageCallback;
import com.taobao.metamorphosis.client.producer.SendResult;
import com.taobao.metamorphosis.cluster.Partition;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/** Producers: waiting for each reply, with callbacks, and straight to a broker without ZooKeeper. */
final class Sending {
    private Sending() {
    }

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("send", Sending::send);
        scenarios.put("send-callback", Sending::sendWithCallback);
        scenarios.put("send-direct", Sending::sendDirect);
    }

    /** Round robin over all partitions of all brokers, from the second on; each offset is where the record before it ended. */
    private static void send(Lab lab) throws Exception {
        MessageProducer producer = lab.producer("send");
        List<Partition> partitions = lab.partitions("send");
        Map<Partition, Long> next = new HashMap<>();
        for (int i = 0; i < 100; i++) {
            byte[] data = new byte[i];
            SendResult result = Lab.send(producer, new Message("send", data));
            Partition partition = result.getPartition();
            Lab.same(partitions.get((i + 1) % partitions.size()), partition, "partition of message " + i);
            long expected = next.getOrDefault(partition, result.getOffset());
            Lab.same(expected, result.getOffset(), "offset in partition " + partition);
            next.put(partition, expected + 20 + i);
        }
        Lab.same(new HashSet<>(partitions), next.keySet(), "partitions that something went to");
    }

    private static void sendWithCallback(Lab lab) throws Exception {
        MessageProducer producer = lab.producer("callback");
        int count = 500;
        CountDownLatch answered = new CountDownLatch(count);
        AtomicInteger good = new AtomicInteger();
        Inbox inbox = new Inbox();
        lab.consume(lab.group("g"), "callback", inbox);
        Set<String> expected = new HashSet<>();
        for (int i = 0; i < count; i++) {
            String text = "callback " + i;
            expected.add(text);
            producer.sendMessage(new Message("callback", text.getBytes()), new SendMessageCallback() {
                @Override
                public void onMessageSent(SendResult result) {
                    if (result.isSuccess()) {
                        good.incrementAndGet();
                    }
                    answered.countDown();
                }

                @Override
                public void onException(Throwable failure) {
                    answered.countDown();
                }
            }, 10, TimeUnit.SECONDS);
        }
        Lab.check(answered.await(30, TimeUnit.SECONDS), "replies missing: " + answered.getCount());
        Lab.same(count, good.get(), "successful replies");
        inbox.await(count, 30);
        Lab.same(expected, new HashSet<>(inbox.texts()), "messages");
        Lab.same(count, inbox.count(), "messages received");
    }

    /** The broker picks the partition; the client reports broker -1. */
    private static void sendDirect(Lab lab) throws Exception {
        MetaClientConfig config = new MetaClientConfig();
        config.setServerUrl("meta://" + lab.broker);
        MetaMessageSessionFactory factory = lab.keep(new MetaMessageSessionFactory(config));
        MessageProducer producer = factory.createProducer();
        producer.publish("direct-send");
        Set<Integer> partitions = new HashSet<>();
        for (int i = 0; i < 60; i++) {
            SendResult result = Lab.send(producer, "direct-send", "direct " + i);
            Lab.same(-1, result.getPartition().getBrokerId(), "broker id");
            partitions.add(result.getPartition().getPartition());
        }
        Lab.same(Set.of(0, 1, 2, 3), partitions, "partitions chosen by the broker");
    }
}
