package ai

import (
	"math"
	"slices"
	"strings"

	"github.com/aitrail/aitrail/internal/endpoint/ai/prose"
)

// comprehend is Amazon Comprehend's operations. Of those that are given texts nothing of the request is recorded.
func (b *backend) comprehend() map[string]*rule {
	rules := map[string]*rule{
		"ClassifyDocument": {serve: b.classifyDocument, noParams: true, noReply: true,
			resource: "{EndpointArn}", kind: "AWS::Comprehend::DocumentClassifierEndpoint"},
		"CreateEndpoint":   {serve: b.createClassifier},
		"DescribeEndpoint": {serve: b.describeClassifier, resource: "{EndpointArn}"},
		"ListEndpoints":    {serve: b.listClassifiers},
		"DeleteEndpoint":   {serve: b.deleteClassifier, resource: "{EndpointArn}"},
	}
	for name, detect := range map[string]func(string) obj{
		"DetectSentiment": detectSentiment, "DetectEntities": detectEntities, "DetectKeyPhrases": detectKeyPhrases,
		"DetectDominantLanguage": detectLanguage, "DetectPiiEntities": detectPII, "ContainsPiiEntities": containsPII,
	} {
		rules[name] = &rule{noParams: true, noReply: true, serve: func(c *call) (obj, error) {
			subject, err := subjectText(c, text(c.in, "Text"))
			if err != nil {
				return nil, err
			}
			return detect(subject), nil
		}}
	}
	for name, detect := range map[string]func(string) obj{
		"BatchDetectSentiment": detectSentiment, "BatchDetectEntities": detectEntities, "BatchDetectKeyPhrases": detectKeyPhrases,
		"BatchDetectDominantLanguage": detectLanguage,
	} {
		rules[name] = &rule{noParams: true, noReply: true, serve: func(c *call) (obj, error) { return batch(c, detect) }}
	}
	return rules
}

// Limits of Comprehend's synchronous operations.
const (
	largestText  = 100_000 // bytes
	largestBatch = 25
)

// subjectText checks a text and its language.
func subjectText(c *call, subject string) (string, error) {
	if document, ok := c.in["Bytes"].([]byte); ok && subject == "" {
		subject = string(document)
	}
	if subject == "" {
		return "", fail("InvalidRequestException", 400, "Text is missing.")
	}
	limit := largestText
	if c.op.Name == "DetectSentiment" {
		limit = 5000
	}
	if len(subject) > limit {
		return "", fail("TextSizeLimitExceededException", 400, "Input text size exceeds limit. Max length of request text allowed is %d bytes while in this request the text size is %d bytes", limit, len(subject))
	}
	if language := text(c.in, "LanguageCode"); language != "" && strings.Contains(c.op.Name, "Pii") && !slices.Contains([]string{"en", "es"}, language) {
		return "", fail("UnsupportedLanguageException", 400, "The language %s is not supported for this operation.", language)
	}
	return subject, nil
}

// batch serves the operations on up to 25 texts.
func batch(c *call, detect func(string) obj) (obj, error) {
	subjects := texts(c.in, "TextList")
	if len(subjects) > largestBatch {
		return nil, fail("BatchSizeLimitExceededException", 400, "Batch size exceeds limit. Max number of documents allowed is %d while in this request the number of documents is %d", largestBatch, len(subjects))
	}
	results, failures := []any{}, []any{}
	for i, subject := range subjects {
		if subject == "" {
			failures = append(failures, obj{"Index": i, "ErrorCode": "VALIDATION_EXCEPTION", "ErrorMessage": "Input text is empty."})
			continue
		}
		results = append(results, with(detect(subject), obj{"Index": i}))
	}
	return obj{"ResultList": results, "ErrorList": failures}, nil
}

func detectSentiment(subject string) obj {
	label, scores := prose.Sentiment(subject)
	return obj{"Sentiment": label, "SentimentScore": obj{
		"Positive": scores["POSITIVE"], "Negative": scores["NEGATIVE"], "Neutral": scores["NEUTRAL"], "Mixed": scores["MIXED"],
	}}
}

func placed(f prose.Found, more obj) obj {
	return with(more, obj{"Score": f.Score, "BeginOffset": f.Begin, "EndOffset": f.End})
}

func detectEntities(subject string) obj {
	list := []any{}
	for _, e := range prose.Entities(subject) {
		list = append(list, placed(e, obj{"Type": e.Type, "Text": e.Text}))
	}
	return obj{"Entities": list}
}

func detectKeyPhrases(subject string) obj {
	list := []any{}
	for _, p := range prose.KeyPhrases(subject) {
		list = append(list, placed(p, obj{"Text": p.Text}))
	}
	return obj{"KeyPhrases": list}
}

func detectLanguage(subject string) obj {
	list := []any{}
	for _, l := range prose.Languages(subject) {
		if l.Score >= 0.01 {
			list = append(list, obj{"LanguageCode": l.Label, "Score": l.Score})
		}
	}
	return obj{"Languages": list}
}

func detectPII(subject string) obj {
	list := []any{}
	for _, e := range prose.PII(subject) {
		kind := e.Type // as guardrails name it
		switch kind {
		case "US_SOCIAL_SECURITY_NUMBER":
			kind = "SSN"
		case "CREDIT_DEBIT_CARD_NUMBER":
			kind = "CREDIT_DEBIT_NUMBER"
		}
		list = append(list, placed(e, obj{"Type": kind}))
	}
	return obj{"Entities": list}
}

func containsPII(subject string) obj {
	labels := []any{}
	seen := map[string]bool{}
	for _, e := range list(detectPII(subject), "Entities") {
		if kind := text(e, "Type"); !seen[kind] {
			seen[kind] = true
			labels = append(labels, obj{"Name": kind, "Score": at(e, "Score")})
		}
	}
	return obj{"Labels": labels}
}

func (b *backend) createClassifier(c *call) (obj, error) {
	model := text(c.in, "ModelArn")
	if model == "" {
		return nil, fail("InvalidRequestException", 400, "Either a model or a flywheel must be given.")
	}
	kind := "document-classifier-endpoint"
	if strings.Contains(model, ":entity-recognizer/") {
		kind = "entity-recognizer-endpoint"
	}
	name := text(c.in, "EndpointName")
	r := &resource{ID: kind + "/" + name, Name: name, Parent: model, ARN: c.arn(kind + "/" + name), Config: keep(c.in, "DesiredInferenceUnits", "DataAccessRoleArn"), Tags: tagList(list(c.in, "Tags"))}
	created, err := b.create(c, classifiers, r)
	if err == nil && !created {
		err = fail("ResourceInUseException", 400, "An endpoint with the name %s already exists.", name)
	}
	if err != nil {
		return nil, err
	}
	return obj{"EndpointArn": r.ARN, "ModelArn": model}, nil
}

func classifierOutput(r *resource) obj {
	units := whole(r.Config, 1, "DesiredInferenceUnits")
	return with(keep(r.Config, "DataAccessRoleArn"), obj{
		"EndpointArn": r.ARN, "Status": "IN_SERVICE", "ModelArn": r.Parent, "DesiredModelArn": r.Parent, "DesiredInferenceUnits": units,
		"CurrentInferenceUnits": units, "CreationTime": r.Created, "LastModifiedTime": r.Updated,
	})
}

// classifier finds an endpoint by its ARN.
func (b *backend) classifier(c *call) (*resource, error) {
	arn := text(c.in, "EndpointArn")
	parts := strings.SplitN(arn, ":", 6)
	var r *resource
	var err error
	if len(parts) == 6 && parts[3] == c.Region {
		r, err = b.get(c, classifiers, parts[5])
	}
	if err == nil && r == nil {
		err = fail("ResourceNotFoundException", 400, "RESOURCE_NOT_FOUND: Could not find specified resource.")
	}
	return r, err
}

func (b *backend) describeClassifier(c *call) (obj, error) {
	r, err := b.classifier(c)
	if err != nil {
		return nil, err
	}
	return obj{"EndpointProperties": classifierOutput(r)}, nil
}

func (b *backend) listClassifiers(c *call) (obj, error) {
	all, err := b.all(c, classifiers, "")
	if err != nil {
		return nil, err
	}
	return paged(c, all, "EndpointPropertiesList", "MaxResults", "NextToken", classifierOutput), nil
}

func (b *backend) deleteClassifier(c *call) (obj, error) {
	r, err := b.classifier(c)
	if err != nil {
		return nil, err
	}
	_, err = b.remove(c, classifiers, r.ID)
	return obj{}, err
}

// promptSafety is the classifier that Comprehend itself offers in every Region.
const promptSafety = ":aws:document-classifier-endpoint/prompt-safety"

func (b *backend) classifyDocument(c *call) (obj, error) {
	subject, err := subjectText(c, text(c.in, "Text"))
	if err != nil {
		return nil, err
	}
	if strings.HasSuffix(text(c.in, "EndpointArn"), promptSafety) {
		safe, unsafe := 0.9912, 0.0088
		if len(prose.Harm(subject)) > 0 {
			safe, unsafe = unsafe, safe
		}
		classes := []any{obj{"Name": "SAFE_PROMPT", "Score": safe}, obj{"Name": "UNSAFE_PROMPT", "Score": unsafe}}
		if unsafe > safe {
			slices.Reverse(classes)
		}
		return obj{"Classes": classes}, nil
	}
	if _, err := b.classifier(c); err != nil {
		return nil, fail("ResourceUnavailableException", 400, "The endpoint %s is not available.", text(c.in, "EndpointArn"))
	}
	// The two classes of a model that nobody trained, weighed by the text.
	score := 0.5 + math.Round(float64(hash(text(c.in, "EndpointArn"), subject)%4900)/1e4*1e4)/1e4
	names := []string{"CLASS_A", "CLASS_B"}
	if hash(subject)%2 == 1 {
		slices.Reverse(names)
	}
	return obj{"Classes": []any{obj{"Name": names[0], "Score": score}, obj{"Name": names[1], "Score": math.Round((1-score)*1e4) / 1e4}}}, nil
}
