package conformance;

import com.taobao.metamorphosis.client.consumer.ConsumerConfig;
import com.taobao.metamorphosis.client.consumer.MessageConsumer;
import com.taobao.metamorphosis.client.producer.MessageProducer;
import com.taobao.metamorphosis.client.producer.SendResult;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;

/** Where reading begins, and where it goes on. */
final class Positions {
    private Positions() {
    }

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("from-the-largest-offset", Positions::fromTheLargestOffset);
        scenarios.put("resume", Positions::resume);
        scenarios.put("direct-get", Positions::directGet);
    }

    private static void fromTheLargestOffset(Lab lab) throws Exception {
        MessageProducer producer = lab.producer("largest");
        for (int i = 0; i < 10; i++) {
            Lab.send(producer, "largest", "old " + i);
        }
        ConsumerConfig config = lab.consumerConfig(lab.group("g"));
        config.setConsumeFromMaxOffset();
        Inbox inbox = new Inbox();
        lab.consume(config, "largest", inbox);
        // Until the consumer has asked once, a message may still count as old.
        int[] sent = {0};
        Lab.await("a new message arrives", 30, () -> {
            Lab.send(producer, "largest", "new " + sent[0]++);
            Thread.sleep(100);
            return inbox.count() > 0;
        });
        Lab.send(producer, "largest", "last");
        Lab.await("the last message arrives", 20, () -> inbox.texts().contains("last"));
        for (String text : inbox.texts()) {
            Lab.check(!text.startsWith("old"), "received " + text);
        }
    }

    /** The offsets are in ZooKeeper: a new member goes on where the old one stopped, also after everything was started anew. */
    private static void resume(Lab lab) throws Exception {
        MessageProducer producer = lab.producer("resume");
        String group = lab.group("g");
        Inbox first = new Inbox();
        MessageConsumer consumer = lab.consume(group, "resume", first);
        for (int i = 0; i < 20; i++) {
            Lab.send(producer, "resume", "first " + i);
        }
        first.await(20, 30);
        consumer.shutdown();
        lab.close();
        lab.harness.ask("restart");

        Lab again = new Lab(lab, "again");
        try {
            MessageProducer anew = again.producer("resume");
            Set<String> expected = new HashSet<>();
            for (int i = 0; i < 20; i++) {
                expected.add("second " + i);
                Lab.send(anew, "resume", "second " + i);
            }
            Inbox second = new Inbox();
            again.consume(group, "resume", second);
            second.await(20, 40);
            Lab.same(expected, new HashSet<>(second.texts()), "messages after the restart");
            Lab.same(20, second.count(), "messages after the restart");
        } finally {
            again.close();
        }
    }

    /** Asks without being a member of any group: an answer comes at once, also at the end. */
    private static void directGet(Lab lab) throws Exception {
        MessageProducer producer = lab.producer("direct");
        SendResult first = Lab.send(producer, "direct", "one");
        SendResult second = Lab.send(producer, "direct", "two");
        MessageConsumer consumer = lab.factory().createConsumer(lab.consumerConfig(lab.group("g")));
        var messages = consumer.get("direct", first.getPartition(), first.getOffset(), Lab.FETCH_BYTES);
        Lab.same("one", Lab.text(messages.next()), "first message");
        Lab.same("two", Lab.text(messages.next()), "second message");
        Lab.check(!messages.hasNext(), "there is a third message");
        long start = System.nanoTime();
        Lab.check(consumer.get("direct", first.getPartition(), second.getOffset() + 23, Lab.FETCH_BYTES) == null, "something at the end");
        long millis = (System.nanoTime() - start) / 1_000_000;
        Lab.check(millis < 2000, "a plain get at the end took " + millis + " ms");
        // A get beyond what is there, at the very end of all numbers, is moved to the end: the client returns nothing.
        var moved = consumer.get("direct", first.getPartition(), Long.MAX_VALUE, Lab.FETCH_BYTES);
        Lab.check(moved == null || !moved.hasNext(), "something at the largest offset");
    }
}
