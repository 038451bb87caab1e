package conformance;

import com.taobao.metamorphosis.Message;
import com.taobao.metamorphosis.client.consumer.MessageConsumer;
import com.taobao.metamorphosis.client.producer.MessageProducer;
import com.taobao.metamorphosis.client.producer.SendResult;
import com.taobao.metamorphosis.cluster.Partition;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;

/** What is in a message. */
final class Contents {
    private static final int MEGABYTE = 1024 * 1024;

    private Contents() {
    }

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("attributes", Contents::attributes);
        scenarios.put("sizes", lab -> sizes(lab, 0, 1, 2, 100, 4096, 65_536, 400_000));
        scenarios.put("large", lab -> sizes(lab, 600_000, MEGABYTE - 1 - 20, MEGABYTE - 20, 1, MEGABYTE - 1, MEGABYTE, 1));
        scenarios.put("over-the-limit", Contents::overTheLimit);
    }

    private static void attributes(Lab lab) throws Exception {
        MessageProducer producer = lab.producer("attributes");
        List<String> sent = Arrays.asList("plain", "", null, "\u87f2\u53d8", "a b\r\nc", "x".repeat(5000));
        for (String attribute : sent) {
            Message message = new Message("attributes", "body".getBytes());
            if (attribute != null) {
                message.setAttribute(attribute);
            }
            Lab.send(producer, message);
        }
        Inbox inbox = new Inbox();
        lab.consume(lab.group("g"), "attributes", inbox);
        inbox.await(sent.size(), 30);
        List<String> received = new ArrayList<>();
        for (Message message : inbox.messages()) {
            received.add(message.getAttribute());
            Lab.same("body", Lab.text(message), "payload behind an attribute");
        }
        // The client does not keep "" and null apart.
        received.replaceAll(attribute -> attribute == null ? "" : attribute);
        List<String> expected = new ArrayList<>(sent);
        expected.replaceAll(attribute -> attribute == null ? "" : attribute);
        Lab.same(expected, received, "attributes");
    }

    private static void sizes(Lab lab, int... sizes) throws Exception {
        MessageProducer producer = lab.producer("sizes");
        Inbox inbox = new Inbox();
        Random random = new Random(7);
        List<byte[]> sent = new ArrayList<>();
        List<SendResult> results = new ArrayList<>();
        for (int size : sizes) {
            byte[] data = new byte[size];
            random.nextBytes(data);
            sent.add(data);
            results.add(Lab.send(producer, new Message("sizes", data)));
        }
        com.taobao.metamorphosis.client.consumer.ConsumerConfig config = lab.consumerConfig(lab.group("g"));
        config.setOffset(results.get(0).getOffset());
        // A record that does not fit into what is asked for makes the client ask six times more, and then put the record aside
        // in its own recovery store, as if a listener had refused it.
        MessageConsumer consumer = lab.anotherFactory().createConsumer(config);
        consumer.subscribe("sizes", 2 * MEGABYTE, inbox);
        consumer.completeSubscribe();
        try {
            inbox.await(sizes.length, 60);
        } catch (AssertionError missing) {
            List<Integer> lengths = new ArrayList<>();
            for (Message message : inbox.messages()) {
                lengths.add(message.getData().length);
            }
            throw new AssertionError("of " + Arrays.toString(sizes) + " only these arrived: " + lengths);
        }
        List<Message> received = inbox.messages();
        for (int i = 0; i < sizes.length; i++) {
            Lab.check(Arrays.equals(sent.get(i), received.get(i).getData()), "message " + i + " of " + sizes[i] + " bytes differs");
        }
    }

    /** A message over the server's limit is refused with a text, and the connection goes on. The limit comes as argument. */
    private static void overTheLimit(Lab lab) throws Exception {
        MessageProducer producer = lab.producer("over");
        SendResult before = Lab.send(producer, "over", "before");
        String outcome;
        try {
            SendResult result = producer.sendMessage(new Message("over", new byte[Integer.parseInt(lab.argument)]));
            outcome = result.isSuccess() ? "accepted" : String.valueOf(result.getErrorMessage());
        } catch (Exception refused) {
            outcome = String.valueOf(refused.getMessage());
        }
        Lab.check(!outcome.equals("accepted"), "a message over the limit was accepted");
        Lab.check(!outcome.equals("null") && !outcome.isEmpty(), "refused without a text");
        Lab.await("the next message goes through", 20, () -> {
            try {
                return producer.sendMessage(new Message("over", "after".getBytes())).isSuccess();
            } catch (Exception reconnecting) {
                return false;
            }
        });
        MessageConsumer consumer = lab.factory().createConsumer(lab.consumerConfig(lab.group("g")));
        Partition partition = before.getPartition();
        var messages = consumer.get("over", partition, before.getOffset(), Lab.FETCH_BYTES);
        Lab.same("before", Lab.text(messages.next()), "first message");
        Lab.same("after", Lab.text(messages.next()), "message after the refused one");
    }
}
