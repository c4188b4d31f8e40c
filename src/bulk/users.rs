//! Files of users.

use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status};

use super::{
    kind::{Answers, Kind, Values},
    rows::Column,
};
use crate::{
    proto::{
        CreateUserRequest, CreateUsersRequest, CreateUsersResponse, ItemStatus,
        create_users_response::Result as ItemResult, user_service_client::UserServiceClient,
    },
    service,
    status::ServerChannel,
};

/// Users, which `UserService.CreateUsers` adds.
pub struct Users;

impl Kind for Users {
    const COLUMNS: &'static [Column] = &[
        Column::required("address"),
        Column::required("app_id"),
        Column::optional("name"),
        Column::optional("token_expiry"),
        Column::optional("active"),
        Column::optional("max_groups"),
    ];
    const RESULTS: &'static [&'static str] = &["uid", "access_token"];
    // A repeat gives the user another token, and nothing else.
    const ONCE: bool = false;
    type Request = CreateUserRequest;
    type Item = CreateUsersRequest;
    type Answer = CreateUsersResponse;

    fn read(values: &mut Values) -> CreateUserRequest {
        CreateUserRequest {
            address: values.text("address").unwrap_or_default(),
            app_id: values.text("app_id").unwrap_or_default(),
            token_expiry: values.time("token_expiry"),
            active: values.flag("active"),
            max_groups: values.number("max_groups", &u32::MAX),
            name: values.text("name"),
        }
    }

    fn problems(request: &CreateUserRequest) -> Vec<(String, String)> {
        service::user::problems(request)
    }

    fn about(request: &CreateUserRequest) -> String {
        request.address.clone()
    }

    fn item(key: String, request: CreateUserRequest) -> CreateUsersRequest {
        let request = Some(request);
        CreateUsersRequest { key, request }
    }

    fn answer(
        answer: CreateUsersResponse,
        secrets: bool,
    ) -> (String, Result<Vec<String>, ItemStatus>) {
        let result = match answer.result {
            Some(ItemResult::Response(user)) => {
                let token = if secrets {
                    user.access_token
                } else {
                    String::new()
                };
                Ok(vec![user.uid.to_string(), token])
            }
            Some(ItemResult::Status(status)) => Err(status),
            None => Err(ItemStatus::default()),
        };
        (answer.key, result)
    }

    async fn open(
        channel: ServerChannel,
        items: Request<ReceiverStream<CreateUsersRequest>>,
    ) -> Result<Answers<CreateUsersResponse>, Status> {
        let answers = UserServiceClient::new(channel).create_users(items).await?;
        Ok(Box::pin(answers.into_inner()))
    }
}
