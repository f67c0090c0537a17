package ai_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/smithy-go/encoding/cbor"

	"github.com/aitrail/aitrail/internal/endpoint/ai/smithy"
	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/state"
)

// step is a call of a life, and what must be in its answer.
type step struct {
	operation, body string // as server.do takes them; "{id}" is what the first step answered
	status          int
	want            string // in the answer's JSON
	code            string
}

// TestLife has resources of several APIs made, read, listed, changed, tagged and deleted, where no rule was written for
// them.
func TestLife(t *testing.T) {
	for _, tc := range []struct {
		name, signing, id string // id is the member of the first answer that names what was made
		steps             []step
	}{
		{"JSON 1.1", "kendra", "Id", []step{
			{"AWSKendraFrontendService.CreateIndex", `{"Name":"docs","RoleArn":"arn:aws:iam::111122223333:role/kendra","Tags":[{"Key":"team","Value":"a"}]}`, 200, "", ""},
			{"AWSKendraFrontendService.DescribeIndex", `{"Id":"{id}"}`, 200, `"Name":"docs"`, ""},
			{"AWSKendraFrontendService.DescribeIndex", `{"Id":"{id}"}`, 200, `"Status":"ACTIVE"`, ""},
			{"AWSKendraFrontendService.ListIndices", `{}`, 200, `"Name":"docs"`, ""},
			{"AWSKendraFrontendService.ListTagsForResource", `{"ResourceARN":"arn:aws:kendra:us-east-1:111122223333:index/{id}"}`, 200, `"Value":"a"`, ""},
			{"AWSKendraFrontendService.UpdateIndex", `{"Id":"{id}","Name":"renamed"}`, 200, "", ""},
			{"AWSKendraFrontendService.DescribeIndex", `{"Id":"{id}"}`, 200, `"Name":"renamed"`, ""},
			{"AWSKendraFrontendService.CreateThesaurus", `{"IndexId":"00000000-0000-0000-0000-000000000000","Name":"n","RoleArn":"arn:aws:iam::111122223333:role/kendra","SourceS3Path":{"Bucket":"docs","Key":"k"}}`, 400, "", "ResourceNotFoundException"},
			{"AWSKendraFrontendService.DeleteIndex", `{"Id":"{id}"}`, 200, "", ""},
			{"AWSKendraFrontendService.DescribeIndex", `{"Id":"{id}"}`, 400, "", "ResourceNotFoundException"},
			{"AWSKendraFrontendService.DeleteIndex", `{"Id":"{id}"}`, 400, "", "ResourceNotFoundException"},
		}},
		{"REST", "qbusiness", "applicationId", []step{
			{"POST /applications", `{"displayName":"helpdesk"}`, 200, `"applicationArn":"arn:aws:qbusiness:us-east-1:111122223333:application/`, ""},
			{"GET /applications/{id}", ``, 200, `"displayName":"helpdesk"`, ""},
			{"GET /applications", ``, 200, `"applicationId":"{id}"`, ""},
			{"PUT /applications/{id}", `{"displayName":"desk"}`, 200, "", ""},
			{"GET /applications/{id}", ``, 200, `"displayName":"desk"`, ""},
			{"POST /v1/tags/arn%3Aaws%3Aqbusiness%3Aus-east-1%3A111122223333%3Aapplication%2F{id}", `{"tags":[{"key":"k","value":"v"}]}`, 200, "", ""},
			{"GET /v1/tags/arn%3Aaws%3Aqbusiness%3Aus-east-1%3A111122223333%3Aapplication%2F{id}", ``, 200, `{"key":"k","value":"v"}`, ""},
			{"DELETE /v1/tags/arn%3Aaws%3Aqbusiness%3Aus-east-1%3A111122223333%3Aapplication%2F{id}?tagKeys=k", ``, 200, "", ""},
			{"GET /v1/tags/arn%3Aaws%3Aqbusiness%3Aus-east-1%3A111122223333%3Aapplication%2F{id}", ``, 200, `"tags":[]`, ""},
			{"POST /applications/{id}/indices", `{"displayName":"index"}`, 200, `"indexId"`, ""},
			{"GET /applications/{id}/indices", ``, 200, `"displayName":"index"`, ""},
			{"GET /applications/00000000-0000-0000-0000-000000000000/indices", ``, 404, "", "ResourceNotFoundException"},
			{"DELETE /applications/{id}", ``, 200, "", ""},
			{"GET /applications/{id}", ``, 404, "", "ResourceNotFoundException"},
		}},
		{"a name that is taken", "codeguru-profiler", "", []step{
			{"POST /profilingGroups?clientToken=a", `{"profilingGroupName":"api"}`, 201, `"name":"api"`, ""},
			{"POST /profilingGroups?clientToken=b", `{"profilingGroupName":"api"}`, 409, "", "ConflictException"},
			{"GET /profilingGroups/api", ``, 200, `"name":"api"`, ""},
		}},
		{"a job that is stopped", "sagemaker", "", []step{
			{"SageMaker.CreateProcessingJob", `{"ProcessingJobName":"job","RoleArn":"arn:aws:iam::111122223333:role/service-role/sm","ProcessingResources":{"ClusterConfig":{"InstanceCount":1,"InstanceType":"ml.t3.medium","VolumeSizeInGB":1}},"AppSpecification":{"ImageUri":"image"}}`, 200, `"ProcessingJobArn":"arn:aws:sagemaker:us-east-1:111122223333:processing-job/job"`, ""},
			{"SageMaker.DescribeProcessingJob", `{"ProcessingJobName":"job"}`, 200, `"ProcessingJobStatus":"Completed"`, ""},
			{"SageMaker.StopProcessingJob", `{"ProcessingJobName":"job"}`, 200, "", ""},
			{"SageMaker.DescribeProcessingJob", `{"ProcessingJobName":"job"}`, 200, `"ProcessingJobStatus":"Stopped"`, ""},
			{"SageMaker.DescribeProcessingJob", `{"ProcessingJobName":"other"}`, 400, "", "ResourceNotFound"},
			{"SageMaker.DescribeProcessingJob", `{}`, 400, "", "ValidationException"},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newServer(t)
			id := ""
			for i, step := range tc.steps {
				fill := strings.NewReplacer("{id}", id)
				s.code = ""
				status, out := s.do(t, tc.signing, fill.Replace(step.operation), fill.Replace(step.body))
				answer, err := json.Marshal(out)
				if err != nil {
					t.Fatal(err)
				}
				if status != step.status || s.code != step.code || !strings.Contains(string(answer), fill.Replace(step.want)) {
					t.Errorf("%s: %d %s %s, want %d %s %s", step.operation, status, s.code, answer, step.status, step.code, step.want)
				}
				if i == 0 && tc.id != "" {
					id, _ = out[tc.id].(string)
				}
			}
		})
	}
}

// TestLifeRecords: reads are recorded without an answer, writes with it, and what is sensitive with neither.
func TestLifeRecords(t *testing.T) {
	s := newServer(t)
	s.do(t, "qbusiness", "POST /applications", `{"displayName":"helpdesk"}`)
	if got := text(t, s.last.ResponseElements); s.last.ReadOnly || s.last.EventSource != "qbusiness.amazonaws.com" || !strings.Contains(got, "applicationId") {
		t.Errorf("a write is recorded as %+v", s.last)
	}
	s.do(t, "qbusiness", "GET /applications", "")
	if !s.last.ReadOnly || s.last.ResponseElements != nil || s.last.EventName != "" && s.last.EventName != "ListApplications" {
		t.Errorf("a read is recorded as %+v", s.last)
	}
	s.do(t, "comprehendmedical", "ComprehendMedical_20181030.DetectEntitiesV2", `{"Text":"cold and fever"}`)
	if got := text(t, s.last); strings.Contains(got, "fever") {
		t.Errorf("the text is recorded: %s", got)
	}
	if got := text(t, s.access); got != `[{"Action":"comprehendmedical:DetectEntitiesV2","Resource":"*"}]` {
		t.Errorf("it needs %s", got)
	}
}

func text(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestCBOR calls in Smithy's RPC v2, as newer clients of Comprehend Medical do.
func TestCBOR(t *testing.T) {
	s := newServer(t)
	call := func(operation string, in cbor.Map) (int, cbor.Map) {
		t.Helper()
		req, err := http.NewRequest("POST", s.URL+"/service/ComprehendMedical_20181030/operation/"+operation, bytes.NewReader(cbor.Encode(in)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Smithy-Protocol", "rpc-v2-cbor")
		req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261102/us-east-1/comprehendmedical/aws4_request")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		v, err := cbor.Decode(body)
		if out, ok := v.(cbor.Map); ok && err == nil {
			return resp.StatusCode, out
		}
		return resp.StatusCode, nil
	}
	bucket := cbor.Map{"S3Bucket": cbor.String("bucket")}
	status, out := call("StartRxNormInferenceJob", cbor.Map{
		"InputDataConfig": bucket, "OutputDataConfig": bucket, "LanguageCode": cbor.String("en"),
		"DataAccessRoleArn": cbor.String("arn:aws:iam::111122223333:role/r"), "JobName": cbor.String("job"),
	})
	id, _ := out["JobId"].(cbor.String)
	if status != 200 || id == "" {
		t.Fatalf("%d %v %s", status, out, s.code)
	}
	status, out = call("DescribeRxNormInferenceJob", cbor.Map{"JobId": id})
	job, _ := out["ComprehendMedicalAsyncJobProperties"].(cbor.Map)
	if submitted, ok := job["SubmitTime"].(*cbor.Tag); status != 200 || job["JobName"] != cbor.String("job") || !ok || submitted.ID != 1 {
		t.Errorf("%d %v", status, out)
	}
	if call("DescribeRxNormInferenceJob", cbor.Map{"JobId": cbor.String("none")}); s.code != "ResourceNotFoundException" {
		t.Errorf("a job that is not there: %s", s.code)
	}
}

// TestShared: where APIs of one signing name have the same route, the input decides.
func TestShared(t *testing.T) {
	s := newServer(t)
	for _, tc := range []struct{ operation, body, want string }{
		{"POST /imports/", `{"payload":"e30=","resourceType":"BOT","mergeStrategy":"OVERWRITE_LATEST"}`, "StartImport"},
		{"POST /imports/", `{"maxResults":5}`, "ListImports"},
		{"DELETE /bots/ABCDEFGHIJ/", ``, "DeleteBot"},
	} {
		s.do(t, "lex", tc.operation, tc.body)
		if s.last.EventName != tc.want {
			t.Errorf("%s %s is %s, want %s", tc.operation, tc.body, s.last.EventName, tc.want)
		}
	}
}

// FuzzRoute: any request is routed, described and served without a panic, and what is served is of the signing name's
// services.
func FuzzRoute(f *testing.F) {
	store, err := state.Open(filepath.Join(f.TempDir(), "state.db"))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { store.Close() })
	services := servicesOf(store)
	var names []string
	for _, client := range smithy.Clients() {
		m, err := smithy.Load(client)
		if err != nil {
			f.Fatal(err)
		}
		names = append(names, m.Signing)
	}
	f.Add(uint8(0), "POST", "/model/amazon.nova-lite-v1%3A0/converse", "", false, `{"messages":[]}`)
	f.Add(uint8(30), "GET", "/bots//?x=%zz", "", false, "")
	f.Add(uint8(40), "POST", "/imports/", "", false, "[1,{\"a\":null}]")
	f.Add(uint8(17), "POST", "/service/ComprehendMedical_20181030/operation/DetectPHI", "", true, "\xa1dTextatext")
	f.Add(uint8(25), "POST", "/", "AWSKendraFrontendService.CreateIndex", false, `{"Name":"a","RoleArn":5}`)
	f.Fuzz(func(t *testing.T, which uint8, method, path, target string, isCBOR bool, body string) {
		u, err := url.ParseRequestURI(path)
		if err != nil {
			return
		}
		r := &http.Request{Method: method, URL: u, Header: http.Header{}, Host: "localhost"}
		r.Header.Set("X-Amz-Target", target)
		if isCBOR {
			r.Header.Set("Smithy-Protocol", "rpc-v2-cbor")
		}
		signing := names[int(which)%len(names)]
		service := services[signing]
		operation, _, ok := service.Route(r, []byte(body))
		if !ok {
			return
		}
		c := &awsapi.Call{
			Request: r, Body: []byte(body), ID: "id", Account: account, Region: "us-east-1", Signing: signing, Operation: operation,
			Caller: &awsapi.Identity{Kind: awsapi.User, Account: account},
		}
		service.Describe(c)
		if c.Record.EventName != operation || c.Record.EventSource == "" {
			t.Errorf("%s is recorded as %s of %q", operation, c.Record.EventName, c.Record.EventSource)
		}
		if len(service.Access(c)) == 0 {
			t.Errorf("%s needs no permission", operation)
		}
		if response, err := service.Serve(c); err == nil && response.Stream != nil {
			if _, err := response.Stream(httptest.NewRecorder(), func() {}); err != nil {
				t.Errorf("%s: the stream ended with %v", operation, err)
			}
		}
	})
}

// TestInside: what is inside something else is found by that and its own name, whatever the members are called, and its
// ARN says where it is.
func TestInside(t *testing.T) {
	s := newServer(t)
	do := func(signing, operation, body, want string) {
		t.Helper()
		status, out := s.do(t, signing, operation, body)
		if got := text(t, out); status/100 != 2 || !strings.Contains(got, want) {
			t.Errorf("%s: %d %s, want %s", operation, status, got, want)
		}
	}
	do("s3vectors", "POST /CreateVectorBucket", `{"vectorBucketName":"bucket"}`, ":bucket/bucket")
	do("s3vectors", "POST /CreateIndex", `{"vectorBucketName":"bucket","indexName":"index","dataType":"float32","dimension":3,"distanceMetric":"cosine"}`, ":bucket/bucket/index/index")
	do("s3vectors", "POST /GetIndex", `{"vectorBucketName":"bucket","indexName":"index"}`, `"dimension":3`)
	do("transcribe", "Transcribe.CreateMedicalVocabulary", `{"VocabularyName":"v","LanguageCode":"en-US","VocabularyFileUri":"s3://a/b"}`, `"v"`)
	do("transcribe", "Transcribe.GetMedicalVocabulary", `{"VocabularyName":"v"}`, `"VocabularyState":"READY"`)
	_, runtime := s.do(t, "bedrock-agentcore", "PUT /runtimes/", `{"agentRuntimeName":"rt","agentRuntimeArtifact":{"containerConfiguration":{"containerUri":"111122223333.dkr.ecr.us-east-1.amazonaws.com/a:1"}},"roleArn":"arn:aws:iam::111122223333:role/r","networkConfiguration":{"networkMode":"PUBLIC"}}`)
	id, _ := runtime["agentRuntimeId"].(string)
	do("bedrock-agentcore", "GET /runtimes/"+id+"/", "", `"agentRuntimeArn":"arn:aws:bedrock-agentcore:us-east-1:111122223333:`)
	do("bedrock-agentcore", "PUT /runtimes/"+id+"/runtime-endpoints/", `{"name":"ep"}`, `"CREATING"`)
	do("bedrock-agentcore", "GET /runtimes/"+id+"/runtime-endpoints/ep/", "", `"name":"ep"`)
}

// TestVersions: versions are numbered, listed in the order of their numbers, and no more at once than the model allows.
func TestVersions(t *testing.T) {
	s := newServer(t)
	const path = "/flows/ABCDEFGHIJ/versions"
	for range 12 {
		if status, out := s.do(t, "bedrock", "POST "+path, `{}`); status != 201 {
			t.Fatalf("%d %v", status, out)
		}
	}
	var got []string
	query := ""
	for range 3 {
		status, out := s.do(t, "bedrock", "GET "+path+query, "")
		if status != 200 {
			t.Fatalf("%d %v", status, out)
		}
		list, _ := out["flowVersionSummaries"].([]any)
		if len(list) > 10 {
			t.Errorf("%d versions in an answer", len(list))
		}
		for _, v := range list {
			version, _ := v.(map[string]any)["version"].(string)
			got = append(got, version)
		}
		next, more := out["nextToken"].(string)
		if !more {
			break
		}
		query = "?nextToken=" + next
	}
	if want := "1 2 3 4 5 6 7 8 9 10 11 12"; strings.Join(got, " ") != want {
		t.Errorf("versions %s, want %s", got, want)
	}
}
