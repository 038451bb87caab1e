package conformance;

import com.taobao.metamorphosis.client.consumer.MessageConsumer;
import com.taobao.metamorphosis.client.producer.MessageProducer;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** The client's own filter, from 1.4.6 on. */
final class Filtering {
    private Filtering() {
    }

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("client-filter", Filtering::clientFilter);
    }

    private static void clientFilter(Lab lab) throws Exception {
        MessageProducer producer = lab.producer("filter");
        Inbox inbox = new Inbox();
        MessageConsumer consumer = lab.anotherFactory().createConsumer(lab.consumerConfig(lab.group("g")));
        consumer.subscribe("filter", Lab.FETCH_BYTES, inbox, (group, message) -> Lab.text(message).startsWith("yes"));
        consumer.completeSubscribe();
        List<String> expected = new ArrayList<>();
        for (int i = 0; i < 30; i++) {
            String text = (i % 3 == 0 ? "yes " : "no ") + i;
            if (i % 3 == 0) {
                expected.add(text);
            }
            Lab.send(producer, "filter", text);
        }
        Lab.send(producer, "filter", "yes last");
        expected.add("yes last");
        inbox.await(expected.size(), 30);
        Lab.same(expected, inbox.texts(), "messages that pass the filter");
    }
}
