package s3

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/policy"
	"github.com/aitrail/aitrail/internal/endpoint/state"
)

// maxConfig bounds a configuration document.
const maxConfig = 1 << 20

// stateBucket is the bucket of the state store that configuration is in; keys are BUCKET/KIND, values the documents.
const stateBucket = "s3.config"

// kind is one sort of bucket configuration that is kept as the document the client put.
type kind struct {
	sub      string // the query parameter, and its name in the state store
	root     string // the document's XML element; "" for JSON
	get      string // the API's names of the operations; del is "" if it can't be deleted
	put      string
	del      string
	event    string // CloudTrail's name without Get, Put or Delete
	action   string // IAM's
	absent   string // the error code when there is none; "" if a default is answered
	message  string
	standard string // the answer when there is none and that is no error
}

const xmlns = "http://s3.amazonaws.com/doc/2006-03-01/"

// kinds is the table of configuration. Names that differ between the API, CloudTrail and IAM are AWS's own.
func kinds() []kind {
	empty := func(root string) string { return "<" + root + ` xmlns="` + xmlns + `"/>` }
	return []kind{
		{"policy", "", "GetBucketPolicy", "PutBucketPolicy", "DeleteBucketPolicy", "BucketPolicy", "BucketPolicy",
			"NoSuchBucketPolicy", "The bucket policy does not exist", ""},
		{"encryption", "ServerSideEncryptionConfiguration", "GetBucketEncryption", "PutBucketEncryption", "DeleteBucketEncryption", "BucketEncryption", "EncryptionConfiguration",
			"ServerSideEncryptionConfigurationNotFoundError", "The server side encryption configuration was not found", ""},
		{"publicAccessBlock", "PublicAccessBlockConfiguration", "GetPublicAccessBlock", "PutPublicAccessBlock", "DeletePublicAccessBlock", "BucketPublicAccessBlock", "BucketPublicAccessBlock",
			"NoSuchPublicAccessBlockConfiguration", "The public access block configuration was not found", ""},
		{"lifecycle", "LifecycleConfiguration", "GetBucketLifecycleConfiguration", "PutBucketLifecycleConfiguration", "DeleteBucketLifecycle", "BucketLifecycle", "LifecycleConfiguration",
			"NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist", ""},
		{"ownershipControls", "OwnershipControls", "GetBucketOwnershipControls", "PutBucketOwnershipControls", "DeleteBucketOwnershipControls", "BucketOwnershipControls", "BucketOwnershipControls",
			"OwnershipControlsNotFoundError", "The bucket ownership controls were not found", ""},
		{"tagging", "Tagging", "GetBucketTagging", "PutBucketTagging", "DeleteBucketTagging", "BucketTagging", "BucketTagging",
			"NoSuchTagSet", "The TagSet does not exist", ""},
		{"cors", "CORSConfiguration", "GetBucketCors", "PutBucketCors", "DeleteBucketCors", "BucketCors", "BucketCORS",
			"NoSuchCORSConfiguration", "The CORS configuration does not exist", ""},
		{"website", "WebsiteConfiguration", "GetBucketWebsite", "PutBucketWebsite", "DeleteBucketWebsite", "BucketWebsite", "BucketWebsite",
			"NoSuchWebsiteConfiguration", "The specified bucket does not have a website configuration", ""},
		{"replication", "ReplicationConfiguration", "GetBucketReplication", "PutBucketReplication", "DeleteBucketReplication", "BucketReplication", "ReplicationConfiguration",
			"ReplicationConfigurationNotFoundError", "The replication configuration was not found", ""},
		{"object-lock", "ObjectLockConfiguration", "GetObjectLockConfiguration", "PutObjectLockConfiguration", "", "BucketObjectLockConfiguration", "BucketObjectLockConfiguration",
			"ObjectLockConfigurationNotFoundError", "Object Lock configuration does not exist for this bucket", ""},
		{"logging", "BucketLoggingStatus", "GetBucketLogging", "PutBucketLogging", "", "BucketLogging", "BucketLogging",
			"", "", empty("BucketLoggingStatus")},
		{"accelerate", "AccelerateConfiguration", "GetBucketAccelerateConfiguration", "PutBucketAccelerateConfiguration", "", "AccelerateConfiguration", "AccelerateConfiguration",
			"", "", empty("AccelerateConfiguration")},
		{"requestPayment", "RequestPaymentConfiguration", "GetBucketRequestPayment", "PutBucketRequestPayment", "", "BucketRequestPayment", "BucketRequestPayment",
			"", "", `<RequestPaymentConfiguration xmlns="` + xmlns + `"><Payer>BucketOwner</Payer></RequestPaymentConfiguration>`},
		{"notification", "NotificationConfiguration", "GetBucketNotificationConfiguration", "PutBucketNotificationConfiguration", "", "BucketNotification", "BucketNotification",
			"", "", empty("NotificationConfiguration")},
	}
}

func (k kind) routes(add func(string, operation)) {
	get := operation{name: k.get, event: "Get" + k.event, action: "Get" + k.action, level: "bucket"}
	get.serve = func(s *Service, q *request) (*awsapi.Response, error) { return s.getConfig(q, k) }
	add("GET bucket "+k.sub, get)
	put := operation{name: k.put, event: "Put" + k.event, action: "Put" + k.action, level: "bucket", write: true}
	put.serve = func(s *Service, q *request) (*awsapi.Response, error) { return s.putConfig(q, k) }
	add("PUT bucket "+k.sub, put)
	if k.del == "" {
		return
	}
	// IAM has actions of their own for deleting a policy and a website only.
	del := operation{name: k.del, event: "Delete" + k.event, action: "Put" + k.action, level: "bucket", write: true}
	if k.sub == "policy" || k.sub == "website" {
		del.action = "Delete" + k.action
	}
	del.serve = func(s *Service, q *request) (*awsapi.Response, error) { return s.deleteConfig(q, k) }
	add("DELETE bucket "+k.sub, del)
}

// transitionHeader goes with a lifecycle configuration; clients wait until they read what they put.
const transitionHeader = "X-Amz-Transition-Default-Minimum-Object-Size"

func (s *Service) getConfig(q *request, k kind) (*awsapi.Response, error) {
	text, ok := s.config.get(q.bucket, k.sub)
	if !ok && k.absent != "" {
		return nil, &awsapi.Error{Code: k.absent, Message: k.message, Status: http.StatusNotFound}
	}
	if !ok {
		text = k.standard
	}
	if k.root == "" {
		return &awsapi.Response{Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(text)}, nil
	}
	resp := &awsapi.Response{Header: http.Header{"Content-Type": {"application/xml"}}, Body: []byte(text)}
	if k.sub == "lifecycle" {
		size, ok := s.config.get(q.bucket, "lifecycle-size")
		if !ok {
			size = "all_storage_classes_128K"
		}
		resp.Header.Set(transitionHeader, size)
	}
	return resp, nil
}

func (s *Service) putConfig(q *request, k kind) (*awsapi.Response, error) {
	if len(q.Body) > maxConfig {
		return nil, &awsapi.Error{Code: "EntityTooLarge", Message: "Your proposed upload exceeds the maximum allowed size"}
	}
	if k.root != "" {
		if !wellFormed(q.Body, k.root) {
			return nil, malformedXML()
		}
	} else if err := s.checkPolicy(q); err != nil {
		return nil, err
	}
	if k.sub == "notification" {
		if err := s.checkNotification(q); err != nil {
			return nil, err
		}
	}
	change := map[string]string{k.sub: string(q.Body)}
	if size := q.header(transitionHeader); k.sub == "lifecycle" {
		change["lifecycle-size"] = size
		if size == "" {
			change["lifecycle-size"] = "all_storage_classes_128K"
		}
	}
	if err := s.config.put(q.bucket, change); err != nil {
		return nil, err
	}
	resp := &awsapi.Response{Header: http.Header{}}
	switch k.sub {
	case "policy", "tagging":
		resp.Status = http.StatusNoContent
	case "lifecycle":
		resp.Header.Set(transitionHeader, change["lifecycle-size"])
	}
	return resp, nil
}

func (s *Service) deleteConfig(q *request, k kind) (*awsapi.Response, error) {
	if err := s.config.drop(q.bucket, k.sub); err != nil {
		return nil, err
	}
	return &awsapi.Response{Status: http.StatusNoContent}, nil
}

// wellFormed tells whether text is one XML document with that root.
func wellFormed(text []byte, root string) bool {
	d := xml.NewDecoder(bytes.NewReader(text))
	depth, seen := 0, false
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return seen && depth == 0
		}
		if err != nil {
			return false
		}
		switch t := token.(type) {
		case xml.StartElement:
			if depth == 0 && (seen || t.Name.Local != root) || depth > maxXMLDepth {
				return false
			}
			seen = true
			depth++
		case xml.EndElement:
			depth--
		}
	}
}

// checkPolicy refuses what PutBucketPolicy refuses.
func (s *Service) checkPolicy(q *request) error {
	doc, err := policy.Parse(q.Body)
	if err == nil {
		err = doc.Validate(policy.ResourcePolicy)
	}
	var syntax *policy.SyntaxError
	if errors.As(err, &syntax) {
		return &awsapi.Error{Code: "MalformedPolicy", Message: syntax.Reason}
	}
	if err != nil {
		return err
	}
	for _, st := range doc.Statements {
		for _, r := range append(st.Resources, st.NotResources...) {
			name, ok := strings.CutPrefix(r, "arn:aws:s3:::")
			bucket, _, _ := strings.Cut(name, "/")
			if !ok || bucket != q.bucket && !strings.ContainsAny(bucket, "*?$") {
				return &awsapi.Error{Code: "MalformedPolicy", Message: "Policy has invalid resource"}
			}
		}
	}
	if public(doc) && s.blocked(q.bucket, "BlockPublicPolicy") {
		return accessDenied(fmt.Sprintf("User: %s is not authorized to perform: s3:PutBucketPolicy on resource: %q because public policies are prevented by the BlockPublicPolicy setting in S3 Block Public Access.",
			q.Caller.ARN, bucketARN(q.bucket)))
	}
	return nil
}

// public tells whether a policy allows something to everyone, whoever they are and wherever they come from.
func public(doc *policy.Document) bool {
	for _, st := range doc.Statements {
		if st.Effect != policy.EffectAllow || len(st.Conditions) > 0 {
			continue
		}
		if len(st.NotPrincipals) > 0 {
			return true
		}
		for _, p := range st.Principals {
			if p.Type == "*" {
				return true
			}
		}
	}
	return false
}

// blocked tells whether the bucket's public access block has the setting on.
func (s *Service) blocked(bucket, setting string) bool {
	text, ok := s.config.get(bucket, "publicAccessBlock")
	if !ok {
		return false
	}
	_, value, _ := xmlValue([]byte(text))
	members, _ := value.(map[string]any)
	on, _ := members[setting].(string)
	return strings.EqualFold(on, "true")
}

// configs is the configuration of all buckets: kept in the state store, and in memory for reading.
type configs struct {
	state *state.Store

	mu       sync.RWMutex
	texts    map[string]map[string]string // bucket → kind → document
	policies map[string]*policy.Document
}

func loadConfigs(st *state.Store) (*configs, error) {
	c := &configs{state: st, texts: map[string]map[string]string{}, policies: map[string]*policy.Document{}}
	entries, err := state.List[string](st, stateBucket, "")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		bucket, sub, _ := strings.Cut(e.Key, "/")
		if err := c.set(bucket, sub, e.Value); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// set changes the copy in memory.
func (c *configs) set(bucket, sub, text string) error {
	if c.texts[bucket] == nil {
		c.texts[bucket] = map[string]string{}
	}
	c.texts[bucket][sub] = text
	if sub != "policy" {
		return nil
	}
	doc, err := policy.Parse([]byte(text))
	if err != nil {
		return fmt.Errorf("the policy of bucket %q: %w", bucket, err)
	}
	c.policies[bucket] = doc
	return nil
}

func (c *configs) get(bucket, sub string) (string, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	text, ok := c.texts[bucket][sub]
	return text, ok
}

func (c *configs) policy(bucket string) *policy.Document {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.policies[bucket]
}

func (c *configs) put(bucket string, change map[string]string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.state.Update(func(tx *state.Tx) error {
		for sub, text := range change {
			if err := tx.Put(stateBucket, bucket+"/"+sub, text); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for sub, text := range change {
		if err := c.set(bucket, sub, text); err != nil {
			return err
		}
	}
	return nil
}

func (c *configs) drop(bucket string, subs ...string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.state.Update(func(tx *state.Tx) error {
		for _, sub := range subs {
			if err := tx.Delete(stateBucket, bucket+"/"+sub); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, sub := range subs {
		delete(c.texts[bucket], sub)
		if sub == "policy" {
			delete(c.policies, bucket)
		}
	}
	return nil
}

// clear drops all configuration of a bucket.
func (c *configs) clear(bucket string) error {
	c.mu.RLock()
	var subs []string
	for sub := range maps.Keys(c.texts[bucket]) {
		subs = append(subs, sub)
	}
	c.mu.RUnlock()
	if len(subs) == 0 {
		return nil
	}
	return c.drop(bucket, subs...)
}
