package conformance;

import com.taobao.metamorphosis.Message;
import com.taobao.metamorphosis.client.consumer.MessageConsumer;
import com.taobao.metamorphosis.client.producer.MessageProducer;
import com.taobao.metamorphosis.client.producer.PartitionSelector;
import com.taobao.metamorphosis.client.producer.SendResult;
import com.taobao.metamorphosis.cluster.Partition;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Names that are wrong or strange. */
final class Refusals {
    private Refusals() {
    }

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("wrong-topic", Refusals::wrongTopic);
        scenarios.put("wrong-partition", Refusals::wrongPartition);
        scenarios.put("special-topics", Refusals::specialTopics);
        scenarios.put("special-groups", Refusals::specialGroups);
    }

    private static void wrongTopic(Lab lab) throws Exception {
        MessageProducer producer = lab.factory().createProducer();
        producer.publish("no-such-topic");
        try {
            producer.sendMessage(new Message("no-such-topic", "x".getBytes()));
            throw new AssertionError("a topic that no broker serves was accepted");
        } catch (com.taobao.metamorphosis.exception.MetaClientException refused) {
            Lab.check(refused.getMessage() != null, "refused without a text");
        }
        // With a default topic the client sends to a broker that publishes that one: now the broker has to refuse.
        MessageProducer other = lab.factory().createProducer();
        other.setDefaultTopic("wrong");
        SendResult result = other.sendMessage(new Message("unserved-topic", "x".getBytes()));
        Lab.check(!result.isSuccess(), "the broker accepted a topic that it does not serve");
        Lab.check(result.getErrorMessage().contains("do not accept topic unserved-topic"), result.getErrorMessage());
    }

    private static int broker(Lab lab) throws Exception {
        return lab.partitions("wrong").get(0).getBrokerId();
    }

    /** A selector that insists on a partition the topic does not have. */
    private static void wrongPartition(Lab lab) throws Exception {
        Lab.send(lab.producer("wrong"), "wrong", "x");
        int broker = broker(lab);
        MessageProducer producer = lab.factory().createProducer(new PartitionSelector() {
            @Override
            public Partition getPartition(String topic, List<Partition> partitions, Message message) {
                return new Partition(broker, 99);
            }
        });
        producer.publish("wrong");
        SendResult result = producer.sendMessage(new Message("wrong", "x".getBytes()));
        Lab.check(!result.isSuccess(), "a partition that does not exist was accepted");
        Lab.check(result.getErrorMessage().contains("wrong partition 99"), result.getErrorMessage());
        MessageConsumer consumer = lab.factory().createConsumer(lab.consumerConfig(lab.group("g")));
        Lab.check(consumer.get("wrong", new Partition(broker, 99), 0, 1000) == null, "messages in no partition");
    }

    private static void specialTopics(Lab lab) throws Exception {
        for (String topic : lab.argument.split(",")) {
            MessageProducer producer = lab.producer(topic);
            Inbox inbox = new Inbox();
            lab.consume(lab.group("g"), topic, inbox);
            Lab.send(producer, topic, "to " + topic);
            inbox.await(1, 30);
            Lab.same(List.of("to " + topic), inbox.texts(), "messages of " + topic);
            Lab.same(topic, inbox.messages().get(0).getTopic(), "topic of the message");
        }
    }

    private static void specialGroups(Lab lab) throws Exception {
        MessageProducer producer = lab.producer("special");
        Lab.send(producer, "special", "hello");
        // Nothing beyond ASCII: the client cuts each character to a byte, and the original never answers such a group.
        for (String name : List.of("dash-and_underscore", "UPPER|bar", "a@b{c}\\d")) {
            Inbox inbox = new Inbox();
            lab.consume(lab.group(name), "special", inbox);
            Lab.await("a message for the group " + name, 30, () -> inbox.count() == 1);
        }
        Set<String> refused = new HashSet<>();
        // Client 1.4.4 lets a blank pass, those after it do not.
        for (char bad : "~!#$%^&*()+=`'\",;/?[]<>.:".toCharArray()) {
            try {
                lab.factory().createConsumer(lab.consumerConfig("bad" + bad + "group"));
                throw new AssertionError("the client accepted a group with '" + bad + "'");
            } catch (com.taobao.metamorphosis.exception.InvalidConsumerConfigException expected) {
                refused.add(String.valueOf(bad));
            }
        }
        Lab.same(25, refused.size(), "characters refused in groups");
    }
}
